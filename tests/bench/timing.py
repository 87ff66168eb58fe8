"""Seconds of pieces of work, taken in turns so that a slow moment of the machine meets all of them."""

import statistics
import time
from collections.abc import Callable

import torch
from tqdm import tqdm

Work = Callable[[], object]


def finish() -> None:
    """Wait until a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Work, repeats: int = 1) -> float:
    """Return the mean seconds of some work."""
    finish()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    finish()
    return (time.perf_counter() - started) / repeats


def interleaved(works: dict[str, Work], repeats: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of each work over rounds in which all take turns; a first one is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in tqdm(range(rounds + 1), desc="/".join(works), leave=False):
        for name, work in works.items():
            spent = seconds(work, repeats)
            if turn:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_peak(device: str, size: int | None = None) -> float:
    """Return the bf16 matrix-product rate of a device in FLOP/s, the best of some tries."""
    size = size or (8192 if device == "cuda" else 2048)
    a, b = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    seconds(lambda: a @ b, 3)
    return 2 * size**3 / min(seconds(lambda: a @ b, 3) for _ in range(7))
