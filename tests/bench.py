"""`make bench`: speed as ratios within one run, beside the rates that they come from; nothing here is a test."""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import stats
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from hollow import experiments, faces, images, interpolations, priors
from hollow.dcgan import Discriminator, Generator
from hollow.machine import hardware
from hollow.trainer import Trainer

NORMAL = experiments.get("normal")
LITE = experiments.recipe("lite")


class ExampleLoop:
    """The loop of PyTorch's DCGAN example: float32, contiguous, binary cross-entropy, Adam 2e-4."""

    def __init__(self, width: int, pixels: torch.Tensor) -> None:
        self.pixels, self.batch = pixels, LITE.batch
        self.generator, self.discriminator = Generator(100, width=width), Discriminator(width=width)
        self.loss = nn.BCEWithLogitsLoss()
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self) -> None:
        real = self.pixels[torch.randint(0, len(self.pixels), (self.batch,))].float().div(127.5).sub(1)
        ones, zeros = torch.ones(self.batch), torch.zeros(self.batch)
        self.discriminator.zero_grad()
        self.loss(self.discriminator(real), ones).backward()
        fake = self.generator(torch.randn(self.batch, 100))
        self.loss(self.discriminator(fake.detach()), zeros).backward()
        self.adam_d.step()
        self.generator.zero_grad()
        self.loss(self.discriminator(fake), ones).backward()
        self.adam_g.step()


def seconds(work: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - started) / repeats


def interleaved(works: dict[str, Callable[[], object]], repeats: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of each work over rounds in which all take turns; a first one is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in tqdm(range(rounds + 1), desc="/".join(works), leave=False):
        for name, work in works.items():
            spent = seconds(work, repeats)
            if turn:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_peak(size: int = 2048) -> float:
    """Return the bf16 matrix-product rate of this machine in FLOP/s."""
    a, b = (torch.randn(size, size, dtype=torch.bfloat16) for _ in range(2))
    seconds(lambda: a @ b, 3)
    return 2 * size**3 / min(seconds(lambda: a @ b, 3) for _ in range(7))


def training(width: int, repeats: int, rounds: int) -> dict[str, float]:
    pixels = faces.portraits(1024)[0]
    bare = replace(LITE, width=width, r1_gamma=0.0, ema=0.0)
    ours, lite = Trainer(NORMAL, bare, pixels), Trainer(NORMAL, replace(LITE, width=width), pixels)
    works = {"example": ExampleLoop(width, pixels).step, "ours": ours.step, "lite": lite.step}
    times = interleaved(works, repeats, rounds)
    with FlopCounterMode(display=False) as counter:
        ours.step()
    flops, peak = counter.get_total_flops(), matmul_peak()
    return {
        "ratio to the example": times["example"] / times["ours"],
        "example, images/s": LITE.batch / times["example"],
        "ours, images/s": LITE.batch / times["ours"],
        "full lite step, images/s": LITE.batch / times["lite"],
        "GFLOP a step": flops / 1e9,
        "bf16 matrix peak, GFLOP/s": peak / 1e9,
        "share of that peak": flops / times["ours"] / peak,
    }


def cauchy_linear(n: int = 2000) -> dict[str, float]:
    """Against the composition that a reader would write with scipy.stats (inaccurate in the tails)."""
    prior = priors.get("normal")
    z0, z1 = prior.sample(n), prior.sample(n)
    path, lam = interpolations.get("cauchy-linear", prior), torch.linspace(0, 1, 9)

    def composed() -> np.ndarray:
        c0, c1 = (stats.cauchy.ppf(stats.norm.cdf(z.double().numpy())) for z in (z0, z1))
        lams = lam.double().numpy()[:, None, None]
        return stats.norm.ppf(stats.cauchy.cdf((1 - lams) * c0 + lams * c1))

    assert np.allclose(composed()[1:-1], path(z0, z1, lam)[1:-1].numpy(), atol=1e-4)
    times = interleaved({"scipy.stats": composed, "ours": lambda: path(z0, z1, lam)}, 1, 5)
    return {
        "ratio to scipy.stats": times["scipy.stats"] / times["ours"],
        "million values/s": lam.numel() * z0.numel() / times["ours"] / 1e6,
    }


def rendering(n: int = 4096) -> dict[str, float]:
    return {"images/s": n / min(seconds(lambda: faces.portraits(n), 1) for _ in range(3))}


def caching(width: int, height: int, n: int = 20_000) -> dict[str, float]:
    """Generated JPEGs: 200 different portraits, repeated under different names."""
    pictures = []
    for portrait in faces.portraits(200)[0]:
        buffer = io.BytesIO()
        picture = Image.fromarray(portrait.permute(1, 2, 0).numpy()).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "faces.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for i in range(n):
                archive.writestr(f"{i:06d}.jpg", pictures[i % len(pictures)])
        cold, warm = (seconds(lambda: images.load(source, cache=folder, progress=False), 1) for _ in range(2))
    return {"first time, s": cold, "again, s": warm}


def _train_a_little(queue: multiprocessing.Queue) -> None:
    pixels = faces.portraits(LITE.n_images)[0]
    trainer = Trainer(NORMAL, LITE, pixels)
    for _ in range(30):
        trainer.step()
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def peak_memory() -> dict[str, float]:
    context = multiprocessing.get_context("spawn")  # a fresh process: its peak is that of training alone
    queue: multiprocessing.Queue = context.Queue()
    process = context.Process(target=_train_a_little, args=(queue,))
    process.start()
    peak = queue.get()
    process.join()
    return {"GiB, 20,000 portraits in memory": peak}


BENCHES: dict[str, Callable[[], dict[str, float]]] = {
    "training, width 16": lambda: training(16, 8, 7),
    "training, width 64": lambda: training(64, 2, 5),
    "cauchy-linear": cauchy_linear,
    "portraits, 64 x 64": rendering,
    "20,000 JPEGs of 64 x 64": lambda: caching(64, 64),
    "20,000 JPEGs of 178 x 218": lambda: caching(178, 218),
    "peak memory of training, width 16": peak_memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run the benches whose name contains this")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    print(f"{hardware()}, torch {torch.__version__}")
    results = {}
    for name, bench in BENCHES.items():
        if options.only in name:
            results[name] = bench()
            print(f"\n{name}")
            for what, value in results[name].items():
                print(f"  {what:32s} {value:12.3f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"hardware": hardware(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
