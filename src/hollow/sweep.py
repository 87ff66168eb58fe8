"""From a row of the table to a trained model, and the whole table: one row after the other, or side by side."""

from __future__ import annotations

import functools
import json
import queue
import shlex
import shutil
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hollow import devices, experiments, images, training, zoo
from hollow.executors import Executor, Job, WorkersLost
from hollow.experiments import Experiment, Recipe
from hollow.files import atomic

TRAINED, KEPT = "trained", "kept"
HANDOVER = 60.0  # seconds until a worker that was lost has surely let go of its row
ENDING = 180.0  # seconds in which workers see that they are to stop, and end the step in hand
_USUAL = {"--preset": "lite", "--images": "procedural", "--steps": None, "--seed": None}


@dataclass(frozen=True)
class Plan:
    """How rows of the table are trained: what `hollow train` was told.

    Attributes
    ----------
    preset : str
        Name of a recipe.
    photographs : str, optional
        Folder or zip of real images, for rows that need them; None for portraits alone.
    steps : int, optional
        Updates, instead of the recipe's.
    device : str
        "auto" is resolved where a row is trained.
    seed : int, optional
        By default that of each row.
    threads : int, optional
        CPU threads of each row; by default PyTorch's. Weights are bitwise the same for the same number.
    graphs : bool
        Replay each step as one CUDA graph, for a GPU.
    """

    preset: str = "lite"
    photographs: str | None = None
    steps: int | None = None
    device: str = "cpu"
    seed: int | None = None
    threads: int | None = None
    graphs: bool = False

    def recipe(self, row: Experiment) -> Recipe:
        """Return the recipe with the row's width and the plan's number of steps."""
        recipe = experiments.recipe(self.preset)
        return replace(recipe, width=round(recipe.width * row.widen), steps=self.steps or recipe.steps)

    def seed_of(self, row: Experiment) -> int:
        """Return the seed of the training of a row."""
        return row.seed if self.seed is None else self.seed

    def source(self, row: Experiment) -> str | None:
        """Return the images of a row, "procedural" or a path, or None where it needs photographs and has none."""
        return "procedural" if row.images == "portraits" else self.photographs

    def command(self, name: str, source: str) -> str:
        """Return the command that repeats the training of one row on `source`, "procedural" or a path."""
        told = {"--preset": self.preset, "--images": source, "--steps": self.steps, "--seed": self.seed}
        words = [str(word) for option in told.items() if option not in _USUAL.items() for word in option]
        return shlex.join(["hollow", "train", name, *words, *["--graphs"] * self.graphs])


class Data(NamedTuple):
    """Training images, the words that name them in a manifest, and how many files were of no use."""

    pixels: Tensor
    source: str
    skipped: int


def load_images(source: str, recipe: Recipe, *, progress: bool = True) -> Data:
    """Return the training images of `source`, "procedural" or a path."""
    if source == "procedural":
        return Data(_portraits(recipe.n_images, progress), source, 0)
    loaded = images.load(source, limit=recipe.n_images, progress=progress)
    return Data(torch.from_numpy(loaded.pixels), f"{Path(source).name} {loaded.key}", loaded.skipped)


@functools.lru_cache(1)  # many rows train on the same; photographs have a cache on the disk
def _portraits(n: int, progress: bool) -> Tensor:
    return images.dataset("procedural", n, progress=progress)


def train_row(
    name: str,
    plan: Plan,
    out: Path,
    *,
    home: Path | None = None,
    stop: Callable[[], bool] | None = None,
    patience: float = 0.0,
    progress: bool = True,
) -> str:
    """Train a row into `out/NAME`, from its checkpoint if there is one, collect its weights in `out`, and say what was.

    Parameters
    ----------
    home : path, keyword-only
        Where the plan's relative path to photographs starts; by default the working folder.
    stop, patience, progress : keyword-only
        As in `hollow.training.train`, which says what is raised, too.
    """
    row = experiments.get(name)
    recipe, source = plan.recipe(row), plan.source(row)
    if source is None:
        return "left out: it needs photographs, give them with --images"
    if finished(row, recipe, plan, out):
        return KEPT
    if plan.threads:
        torch.set_num_threads(plan.threads)
    where = str(home / source) if home and source != "procedural" else source
    data = load_images(where, recipe, progress=progress)
    training.train(
        row, recipe, out / name, images=data.pixels, source=data.source, preset=plan.preset,
        device=devices.named(plan.device), seed=plan.seed_of(row), resume=True, command=plan.command(name, source),
        progress=progress, stop=stop, patience=patience, graphs=plan.graphs,
    )  # fmt: skip
    for file in sorted([*(out / name).glob(f"{name}.*"), *(out / name).glob(f"{name}@*.*")], reverse=True):
        with atomic(out / file.name) as part:  # weights before manifests: a pair is whole once its manifest is
            shutil.copyfile(file, part)
    return TRAINED


def train_all(
    out: Path, plan: Plan, executor: Executor | None = None, limit: int | None = None
) -> Iterator[tuple[str, str]]:
    """Train every row of the table into `out/NAME`, collect the weights in `out`, and yield each name with its state.

    What is finished is kept, what was begun goes on from its checkpoint, rows that need photographs are left out
    without them; `hollow.zoo.load` takes `out`. A row that cannot be trained does not keep an executor from the others.

    Parameters
    ----------
    out : path
        With an executor, a folder that its workers see under the same name.
    plan : Plan
    executor : Executor, optional
        Trains rows side by side; without one they are trained here, one after the other.
    limit : int, optional
        Rows that are submitted at once, at most.

    Raises
    ------
    ValueError
        At the end, if an executor could not train every row; otherwise as `train_row` does.
    KeyboardInterrupt
        After ctrl-C, once every row in hand has written its checkpoint.
    """
    if executor is None:
        for name in experiments.TABLE:
            yield name, train_row(name, plan, out)
        return
    open_rows = []
    for name, row in experiments.TABLE.items():
        if plan.source(row) is None or finished(row, plan.recipe(row), plan, out):
            yield name, train_row(name, plan, out)  # which only says so
        else:
            open_rows.append(name)
    yield from _Spread(out.absolute(), plan, executor, limit or len(open_rows)).train(open_rows)


class _Spread:
    """Rows on their way through an executor."""

    def __init__(self, out: Path, plan: Plan, executor: Executor, limit: int) -> None:
        self.plan, self.out, self.executor, self.limit = plan, out, executor, limit
        self.stop = out / f".stop-{uuid.uuid4().hex[:8]}"  # a file: the one thing that all workers can see
        self.ended: queue.SimpleQueue[tuple[str, str | BaseException]] = queue.SimpleQueue()
        self.running: set[str] = set()

    def train(self, names: list[str]) -> Iterator[tuple[str, str]]:
        waiting, failed, begun, total = deque(names), list[str](), time.perf_counter(), len(names)
        done = 0
        try:
            while waiting or self.running:
                while waiting and len(self.running) < self.limit:
                    self._submit(waiting.popleft())
                name, state = self.ended.get()
                self.running.discard(name)
                if isinstance(state, WorkersLost):
                    raise state
                done += 1
                if state not in (TRAINED, KEPT):
                    failed.append(name)
                    state = state if isinstance(state, str) else f"failed: {_line(state)}"
                left = (time.perf_counter() - begun) / done * (total - done)
                yield name, f"{state}; {done} of {total}" + (f", {_duration(left)} to go" if done < total else "")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped with {done} of {total} rows ended; the same command continues") from None
        finally:
            self._end()
        if failed:
            raise ValueError(f"{len(failed)} of {total} not trained: {', '.join(failed)}; the same command tries again")

    def _submit(self, name: str) -> None:
        job = self.executor.submit(unit, name, self.plan, self.out, Path.cwd(), self.stop)
        self.running.add(name)
        threading.Thread(target=self._wait, args=(name, job), daemon=True).start()

    def _wait(self, name: str, job: Job) -> None:
        try:
            self.ended.put((name, job.result()))
        except BaseException as error:  # whatever an executor raises: the row has ended
            self.ended.put((name, error))

    def _end(self) -> None:
        """Have the rows in hand end with a checkpoint each, and wait for them."""
        if self.running:
            self.out.mkdir(parents=True, exist_ok=True)
            self.stop.touch()
        limit = time.monotonic() + ENDING
        while self.running and (left := limit - time.monotonic()) > 0:
            try:
                self.running.discard(self.ended.get(timeout=left)[0])
            except queue.Empty:
                return  # the file stays, for those that have not seen it yet
        self.stop.unlink(missing_ok=True)


def unit(name: str, plan: Plan, out: Path, home: Path, stop: Path) -> str:
    """Train a row on a worker and return its state in words, also where it stopped or failed for a known reason.

    Once there is a file `stop` the row ends with a checkpoint.
    """
    asked = _Asked(stop)
    if asked():
        return "not begun"
    try:
        return train_row(name, plan, out, home=home, stop=asked, patience=HANDOVER, progress=False)
    except KeyboardInterrupt as error:
        return str(error) or "interrupted"
    except (ValueError, OSError) as error:
        return f"failed: {_line(error)}"


class _Asked:
    """Whether a file exists, looked up once a second: the disk may be far away."""

    def __init__(self, path: Path) -> None:
        self.path, self.next, self.found = path, 0.0, False

    def __call__(self) -> bool:
        if not self.found and time.monotonic() >= self.next:
            self.found, self.next = self.path.exists(), time.monotonic() + 1
        return self.found


def _line(error: BaseException) -> str:
    """Return the last line of what an error says: that of a traceback from far away is the error."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _duration(seconds: float) -> str:
    for word, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {word}"
    return f"about {seconds:.0f} s"


def finished(row: Experiment, recipe: Recipe, plan: Plan, out: Path) -> bool:
    """Whether `out` holds the weights of a row, whole and trained by this recipe and seed to the end."""
    if not zoo.whole(row.name, out):
        return False
    record = zoo.manifest(row.name, out)
    wanted = {"recipe": json.loads(json.dumps(asdict(recipe))), "seed": plan.seed_of(row)}
    wanted |= {key: getattr(row, key) for key in ("prior", *experiments.SHAPE)}
    return all(record.get(key) == value for key, value in wanted.items())
