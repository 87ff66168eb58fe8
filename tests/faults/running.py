"""Commands of `hollow` in processes of their own, forked from one that has imported everything: real, and quick."""

import multiprocessing
import os
import time
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["hollow.cli", "hollow.faces", "hollow.quality", "hollow.sweep", "hollow.training"])
THREADS = 1  # of every run that is compared bitwise with another


def _run(words: list[str], said: str) -> None:
    with open(said, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import torch

    from hollow.cli import app

    torch.set_num_threads(THREADS)
    app(args=words, prog_name="hollow")


def start(words: list[str], said: Path):
    """Start `hollow` with these words; what it says is added to the file `said`."""
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # for the process that the others are forked from
    process = CONTEXT.Process(target=_run, args=([str(word) for word in words], str(said)))
    process.start()
    return process


def end(process, limit: float = 300.0) -> int:
    """Return the exit code of a process that is left to end by itself."""
    process.join(limit)
    assert process.exitcode is not None, f"not ended after {limit} s"
    return process.exitcode


def until(true, process, limit: float = 300.0) -> bool:
    """Wait without rest until `true()`, or return False once the process has ended."""
    stop = time.monotonic() + limit
    while not true():
        if not process.is_alive():
            return False
        assert time.monotonic() < stop, f"nothing happened for {limit} s"
    return True
