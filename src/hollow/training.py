"""The training loop: progress, log, sample grids, and checkpoints that resume to the same weights."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from hollow import checkpoints, pictures, zoo
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

    Raises
    ------
    FileExistsError
        If `out` holds a run and `resume` is false.
    TrainingDiverged
        If a loss or weight stops being finite; the last good checkpoint is kept.
    KeyboardInterrupt
        After ctrl-C, once the checkpoint has been written.
    """
    out = Path(out)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise FileExistsError(f"{out} holds a run already; continue it with --resume or choose another --out")
    trainer = Trainer(experiment, recipe, images, device=device, seed=seed)
    if resume and checkpoint.exists():
        checkpoints.load(trainer, checkpoint, source)
        if trainer.done > recipe.steps:
            raise ValueError(f"{checkpoint} is at step {trainer.done} already; give --steps of at least that")
    out.mkdir(parents=True, exist_ok=True)
    log = _Log(out / LOG, trainer.done)
    started, begun = time.perf_counter(), trainer.done

    def export(suffix: str) -> None:
        seconds = None if begun else round(time.perf_counter() - started, 1)
        name = experiment.name + suffix
        zoo.export(trainer, name, out, images=source, preset=preset, command=command, seconds=seconds)

    bar = tqdm(
        total=recipe.steps,
        initial=begun,
        desc=experiment.name,
        unit="step",
        disable=None if progress else True,
        smoothing=0.05,
    )
    with bar, ctrl_c() as stop:
        while trainer.done < recipe.steps and not stop:
            losses = trainer.step()
            bar.update()
            done, last = trainer.done, trainer.done == recipe.steps
            if done % recipe.log_every == 0 or last:
                values = {key: round(float(value), 6) for key, value in losses.items()}
                if not all(map(np.isfinite, values.values())):
                    raise _diverged(trainer, checkpoint)
                rate = recipe.batch * (done - begun) / (time.perf_counter() - started)
                bar.set_postfix_str(f"{rate:.0f} images/s, D {values['d_loss']:.3f}, G {values['g_loss']:.3f}")
                log.write({"step": done, **values, "images_per_second": round(rate, 1)})
            if done in recipe.grids:
                pictures.save(trainer.samples(), out / "samples" / f"step{done:06d}.png")
            keep = done % recipe.checkpoint_every == 0 or last or bool(stop)
            if keep and not trainer.finite():
                raise _diverged(trainer, checkpoint)
            # Weights before the checkpoint: a run cut off between the two writes them again when it resumes.
            if last or done in experiment.snapshots:
                export(f"@{done}" if not last else "")
            if keep:
                checkpoints.save(trainer, checkpoint, source)
    if trainer.done == recipe.steps and not all((out / f"{experiment.name}{end}").exists() for end in zoo.FILES):
        export("")  # the run had ended before, but its weights are gone
    if stop and trainer.done < recipe.steps:
        raise KeyboardInterrupt(f"stopped after step {trainer.done} of {recipe.steps}; continue with --resume")
    return trainer


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
            for line in path.read_text().splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):  # a line cut off by a crash
                    if json.loads(line)["step"] <= done:
                        kept.append(line + "\n")
        with atomic(path) as part:
            part.write_text("".join(kept))
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


@contextlib.contextmanager
def ctrl_c() -> Iterator[list[int]]:
    """Collect the first ctrl-C in a list, so that the step in hand ends first; a second one interrupts at once."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        previous = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: ctrl-C never arrives here
        yield caught
        return
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, previous)
