"""Where the rows of the table are trained side by side: processes here, a dask cluster, or jobs of Slurm.

An executor has one method, `submit(function, *arguments)`, and what that returns has one, `result()`. Those of
`concurrent.futures`, `Client.get_executor()` of dask.distributed and submitit's have both already; nothing else is
asked of them, and neither dask nor submitit is needed before it is used.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from hollow.machine import cores

KINDS = ("processes", "dask", "slurm")
RESTARTS = 5  # of a pool whose workers are killed, before it is given up
HOURS = 24  # of a Slurm job, unless SBATCH_TIMELIMIT says otherwise; one that is cut off goes on in the next
REQUEUED = 1000  # times that Slurm may start a job again


class Job(Protocol):
    """What has been submitted."""

    def result(self) -> Any:
        """Wait for the end and return what the function returned, or raise what it raised."""


class Executor(Protocol):
    """Runs functions somewhere else; functions, arguments and results are picklable."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Job:
        """Start `function(*arguments)`, or put it in a queue."""


class WorkersLost(OSError):
    """Worker processes were killed too often to go on."""


@contextmanager
def processes(workers: int, device: str = "cpu") -> Iterator[Executor]:
    """Yield an executor of worker processes on this machine, each of which starts with a GPU of its own on "cuda".

    A pool of `concurrent.futures` is of no more use once one of its workers is killed; so what had not ended is then
    submitted to a new one, up to `RESTARTS` times, after which `result` raises `WorkersLost`.
    """
    pools = _Pools(workers, gpus() if device == "cuda" else [])
    try:
        yield pools
    finally:
        pools.pool.shutdown(cancel_futures=True)


class _Pools:
    """One pool after the other."""

    def __init__(self, workers: int, gpus: list[str]) -> None:
        self.workers, self.gpus, self.restarts = workers, gpus, 0
        self.renewing = threading.Lock()
        self.pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")  # a fork of this process would share its threads' locks
        context.set_forkserver_preload(["hollow.sweep"])  # imported once, and not by each worker
        return ProcessPoolExecutor(self.workers, context, _begin, (context.Value("i", 0), self.gpus))

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> _Resubmitted:
        return _Resubmitted(self, (function, *arguments))

    def place(self, call: tuple[Any, ...], broken: ProcessPoolExecutor | None) -> tuple[ProcessPoolExecutor, Future]:
        """Return a pool that works, other than the `broken` one, with the future of the call in it."""
        with self.renewing:
            if self.pool is not broken:
                try:
                    return self.pool, self.pool.submit(*call)
                except BrokenExecutor:  # it broke in between
                    pass
            if self.restarts == RESTARTS:
                raise WorkersLost(
                    f"worker processes were killed {RESTARTS + 1} times; where memory is short give fewer --workers; "
                    "the same command continues"
                )
            self.restarts += 1
            self.pool.shutdown(wait=False)
            self.pool = self._new()
            return self.pool, self.pool.submit(*call)


class _Resubmitted:
    """A call that moves to the next pool until one has seen it to its end."""

    def __init__(self, pools: _Pools, call: tuple[Any, ...]) -> None:
        self.pools, self.call = pools, call
        self.pool, self.future = pools.place(call, None)

    def result(self) -> Any:
        while True:
            try:
                return self.future.result()
            except BrokenExecutor:
                self.pool, self.future = self.pools.place(self.call, self.pool)


def gpus() -> list[str]:
    """Return the GPUs that this process may use, in the words of CUDA_VISIBLE_DEVICES."""
    import torch

    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    return told.split(",") if told else [str(number) for number in range(torch.cuda.device_count())]


def _begin(started: Any, gpus: list[str]) -> None:
    """Set up a worker process; `started` counts those of its pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends ctrl-C to workers, too: it is for the first process
    if gpus:
        with started.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[started.value % len(gpus)]  # before CUDA is looked at
            started.value += 1


@contextmanager
def dask(scheduler: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """Yield the executor of a dask cluster: that of the scheduler's address, else a new one on this machine.

    The scheduler itself runs a row again whose worker is lost, elsewhere; its `allowed-failures` (3) says how often.

    Raises
    ------
    ValueError
        If dask.distributed is not installed.
    OSError
        If no scheduler answers.
    """
    distributed = _needed("distributed", "dask")
    if scheduler is not None:
        with distributed.Client(scheduler, set_as_default=False) as client:
            yield client.get_executor(pure=False)
        return
    handler = signal.getsignal(signal.SIGINT)
    inherited = threading.current_thread() is threading.main_thread()
    if inherited:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in `_begin`: processes that start now inherit it
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers or cores(), threads_per_worker=1, processes=True, memory_limit=None,
            dashboard_address=None,
        )  # fmt: skip
    finally:
        if inherited:
            signal.signal(signal.SIGINT, handler)
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client.get_executor(pure=False)


@contextmanager
def slurm(folder: Path, *, threads: int = 4, gpu: bool = False, cluster: str = "slurm") -> Iterator[Executor]:
    """Yield an executor of jobs of Slurm, one for each call, whose scripts and output are in `folder`.

    The folder must be one that the nodes see. Slurm's own variables (SBATCH_PARTITION, SBATCH_ACCOUNT,
    SBATCH_TIMELIMIT, SBATCH_GRES ...) are heeded. A job that Slurm preempts, or whose time is up, is queued again.
    What has not ended when the block is left is cancelled.

    Parameters
    ----------
    folder : Path
    threads : int, keyword-only
        Cores of each job.
    gpu : bool, keyword-only
        Ask for a GPU for each job.
    cluster : str, keyword-only
        submitit's word for where jobs run; "local" is this machine, without Slurm.

    Raises
    ------
    ValueError
        If submitit or Slurm is not installed.
    """
    submitit = _needed("submitit", "slurm")
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise ValueError("--executor slurm needs Slurm's sbatch, and there is none here; start it on a login node")
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=REQUEUED)
    executor.update_parameters(
        name="hollow", timeout_min=60 * HOURS, cpus_per_task=threads, gpus_per_node=1 if gpu else None
    )
    jobs = _Jobs(executor)
    try:
        yield jobs
    finally:
        for job in jobs.submitted:
            if not job.done():
                job.cancel(check=False)


class _Jobs:
    """submitit's executor, with a list of what was submitted."""

    def __init__(self, executor: Any) -> None:
        self.executor, self.submitted = executor, list[Any]()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        self.submitted.append(self.executor.submit(Again(function), *arguments))
        return self.submitted[-1]


class Again:
    """A function that submitit may queue again with the same arguments, since it goes on from its own checkpoint."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.function(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        """Return what submitit queues when Slurm has preempted the job or its time is up."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self, *arguments)


def _needed(module: str, kind: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(f"--executor {kind} needs {module}, which is not installed: pip install {module}") from None
