"""The training loop: progress, log, sample grids, and checkpoints that resume to the same weights."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from hollow import checkpoints, locks, pictures, zoo
from hollow.distributed import ALONE, Ranks
from hollow.experiments import Experiment, Recipe
from hollow.files import atomic
from hollow.trainer import Trainer

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"


class TrainingDiverged(ValueError):
    """A loss or a weight is no longer finite."""


def train(
    experiment: Experiment,
    recipe: Recipe,
    out: str | Path,
    *,
    images: Tensor,
    source: str = "",
    preset: str = "custom",
    command: str = "",
    device: str = "cpu",
    seed: int = 0,
    resume: bool = False,
    progress: bool = True,
    stop: Callable[[], bool] | None = None,
    patience: float = 0.0,
    ranks: Ranks = ALONE,
    graphs: bool = False,
) -> Trainer:
    """Train a model to the last step of its recipe and return the trainer.

    Parameters
    ----------
    experiment, recipe
        A row of `hollow.experiments.TABLE` and a preset.
    out : path
        Folder for the weights (`hollow.zoo.load` takes it), `checkpoint.safetensors`, `log.jsonl` and `samples/`.
    images : Tensor, keyword-only
        uint8 of shape (n, 3, 64, 64).
    source : str, keyword-only
        Words that name the images; a checkpoint resumes only on the same ones.
    preset, command : str, keyword-only
        For the manifest: the recipe by name, and the command that repeats the run.
    resume : bool, keyword-only
        Continue from the checkpoint in `out`, if there is one. On one device and thread count the result is
        bitwise that of an undisturbed run.
    stop : function, keyword-only
        Asked after each step; true ends the run as ctrl-C does.
    patience : float, keyword-only
        Seconds to wait for another process that trains in `out`.
    ranks : Ranks, keyword-only
        This process's place among those that train the model together; the first of them writes the files, which
        are those of one process.
    graphs : bool, keyword-only
        Replay each step as one CUDA graph, as `Trainer` does.

    Raises
    ------
    FileExistsError
        If `out` holds a run and `resume` is false.
    BlockingIOError
        If another process trains in `out`.
    TrainingDiverged
        If a loss or weight stops being finite; the last good checkpoint is kept.
    KeyboardInterrupt
        After ctrl-C or `stop`, once the checkpoint has been written.
    """
    out = Path(out)
    checkpoint = out / CHECKPOINT
    with locks.held(out, patience) if ranks.first else contextlib.nullcontext():
        if ranks.first and checkpoint.exists() and not resume:
            raise FileExistsError(f"{out} holds a run already; continue it with --resume or choose another --out")
        trainer = Trainer(experiment, recipe, images, device=device, seed=seed, ranks=ranks, graphs=graphs)
        if resume and checkpoint.exists():
            checkpoints.load(trainer, checkpoint, source)
            if trainer.done > recipe.steps:
                raise ValueError(f"{checkpoint} is at step {trainer.done} already; give --steps of at least that")
        ranks.agree(trainer.done)
        for part in out.rglob(".part-*") if ranks.first else ():  # what a killed process was writing
            part.unlink(missing_ok=True)
        words = {"images": source, "preset": preset, "command": command}
        _run(trainer, out, words, progress=progress and ranks.first, stop=stop or (lambda: False))
        return trainer


def _run(trainer: Trainer, out: Path, words: dict[str, str], *, progress: bool, stop: Callable[[], bool]) -> None:
    """Go on to the last step of the recipe; `words` are those of the manifest."""
    experiment, recipe, ranks, checkpoint = trainer.experiment, trainer.recipe, trainer.ranks, out / CHECKPOINT
    log = _Log(out / LOG, trainer.done) if ranks.first else None
    started, begun, halted = time.perf_counter(), trainer.done, False

    def export(suffix: str) -> None:
        seconds = None if begun else round(time.perf_counter() - started, 1)
        name = experiment.name + suffix
        zoo.export(trainer, name, out, seconds=seconds, **words)

    bar = tqdm(
        total=recipe.steps,
        initial=begun,
        desc=experiment.name,
        unit="step",
        disable=None if progress else True,
        smoothing=0.05,
    )
    # torchrun passes on a ctrl-C that its processes have had already: the second is none of the user's.
    with bar, ctrl_c(again=ranks.world == 1) as caught:
        while trainer.done < recipe.steps and not halted:
            losses = trainer.step()
            bar.update()
            done, last = trainer.done, trainer.done == recipe.steps
            halted = ranks.any(bool(caught) or stop())
            if done % recipe.log_every == 0 or last:
                values = {key: round(value, 6) for key, value in ranks.mean(losses).items()}
                if not all(map(np.isfinite, values.values())):
                    raise _diverged(trainer, checkpoint)
                rate = recipe.batch * (done - begun) / (time.perf_counter() - started)
                bar.set_postfix_str(f"{rate:.0f} images/s, D {values['d_loss']:.3f}, G {values['g_loss']:.3f}")
                if log:
                    log.write({"step": done, **values, "images_per_second": round(rate, 1)})
            if done in recipe.grids and ranks.first:
                pictures.save(trainer.samples(), out / "samples" / f"step{done:06d}.png")
            keep = done % recipe.checkpoint_every == 0 or last or halted
            if keep and not trainer.finite():
                raise _diverged(trainer, checkpoint)
            # Weights before the checkpoint: a run cut off between the two writes them again when it resumes.
            if ranks.first and (last or done in experiment.snapshots):
                export(f"@{done}" if not last else "")
            if ranks.first and keep:
                checkpoints.save(trainer, checkpoint, words["images"])
    if ranks.first and trainer.done == recipe.steps and not zoo.whole(experiment.name, out):
        export("")  # the run had ended before, but its weights are gone or damaged
    if halted and trainer.done < recipe.steps:
        raise KeyboardInterrupt(f"stopped after step {trainer.done} of {recipe.steps}; continue with --resume")


def _diverged(trainer: Trainer, checkpoint: Path) -> TrainingDiverged:
    kept = f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "no checkpoint had been written"
    return TrainingDiverged(
        f"a loss or weight is not finite at step {trainer.done}; {kept}; lower lr or raise r1_gamma"
    )


class _Log:
    """JSON lines, one object each; lines past the step that a run resumes from are dropped."""

    def __init__(self, path: Path, done: int) -> None:
        kept = []
        if path.exists() and done:
            for line in path.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):  # a line cut off by a crash
                    if json.loads(line)["step"] <= done:
                        kept.append(line + "\n")
        with atomic(path) as part:
            part.write_text("".join(kept))
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error.strerror}; free some space, then use --resume") from error


@contextlib.contextmanager
def ctrl_c(again: bool = True) -> Iterator[list[int]]:
    """Collect ctrl-C and SIGTERM in a list, so that the step in hand ends first; with `again` a second one interrupts.

    After SIGTERM the process ends by it when the block is left, as those expect who sent it.
    """
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        if caught and again:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        previous = {signal.SIGINT: signal.signal(signal.SIGINT, note)}
    except ValueError:  # not the main thread: signals never arrive here
        yield caught
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # else somebody has a use for it: submitit, for one
        previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, note)
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if signal.SIGTERM in caught:
            signal.raise_signal(signal.SIGTERM)
