"""Making a feature network: train, score on held-out images, write weights and manifest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from hollow.faces import FACTORS, render, sample_factors
from hollow.learning import Task, learn
from hollow.machine import provenance
from hollow.quality import factors
from hollow.quality.calibration import calibrate
from hollow.quality.network import Features, load
from hollow.quality.pixels import unit
from hollow.quality.vicreg import Photographs
from hollow.zoo import PHOTOGRAPHS_LICENCE, PORTRAITS_LICENCE, write_pair

STEPS = {"portraits": 7000, "photographs": 1500}
HELD_OUT = 4000  # portraits of the scores
CALIBRATED = 1000  # images of the calibration, and as many real ones beside them
PHOTOGRAPHS = 20_000  # at most, of a folder or zip
FEWEST = 700  # photographs
ROWS = 3500  # of features, kept


def portraits(
    out: str | Path, *, steps: int | None = None, seed: int = 0, resume: bool = False, command: str = "",
    progress: bool = True,
) -> Features:  # fmt: skip
    """Train the network of the portraits' factors, score it on held-out portraits and write it to the folder `out`.

    The manifest says of each factor how well it is read where it is visible: R^2, or balanced accuracy for a class
    (`hollow.quality.factors.scores`), and in what share of the portraits it is visible
    (`hollow.quality.factors.seen`).

    Parameters
    ----------
    out : path
        Folder of `portraits.safetensors`, its manifest and the checkpoint.
    steps : int, keyword-only
        Updates, of 64 new portraits each.
    seed : int, keyword-only
        Of the first weights and of the portraits.
    resume : bool, keyword-only
        Continue from the checkpoint in `out`, if there is one.
    command : str, keyword-only
        For the manifest: the command that repeats the run.

    Raises
    ------
    FileExistsError, ValueError, KeyboardInterrupt
        As `hollow.learning.learn` does.
    """
    task, started = factors.Portraits(seed), time.perf_counter()
    steps = steps or STEPS[task.name]
    _learn(task, steps, out, resume, progress)
    seconds = time.perf_counter() - started
    record = {"outputs": factors.OUTPUTS, "licence": PORTRAITS_LICENCE, "n_held_out": HELD_OUT}
    record |= {"command": command, "seconds": None if resume else round(seconds, 1)}
    return _write(task, steps, out, record | _judged(_write(task, steps, out, record)))


def _judged(network: Features) -> dict[str, Any]:
    """Return the scores of the factors on held-out portraits, and the calibration."""
    known = sample_factors(HELD_OUT, torch.Generator().manual_seed(factors.HELD_OUT))
    mask, images, head = factors.seen(known), unit(render(known)), network.network.head
    assert head is not None
    features = network.features(images)
    with torch.no_grad():
        found = factors.scores(head(features), known, mask)
    scores = {
        factor.name: {
            "measure": "balanced accuracy" if factor.probs else "R2",
            "score": round(found[factor.name], 4),
            "visible": round(float(mask[factor.name].float().mean()), 4),
        }
        for factor in FACTORS
    }
    return {"scores": scores, "calibration": calibrate(network, features[-CALIBRATED:], images[:CALIBRATED])}


def photographs(
    images: Tensor, out: str | Path, *, source: str = "", steps: int | None = None, seed: int = 0,
    resume: bool = False, command: str = "", progress: bool = True,
) -> Features:  # fmt: skip
    """Train the network of photographs without labels and write it to `out`, with statistics of its features.

    The last fifth of the images is held out: the network is trained on the others, whose mean and covariance of
    features are kept, and up to 3,500 rows of features are kept of those held out. No image is written.

    Parameters
    ----------
    images : Tensor
        (n, 3, 64, 64), uint8, n at least 700.
    out : path
        Folder of `photographs.safetensors`, its manifest and the checkpoint.
    source : str, keyword-only
        Words that name the images.

    The other parameters and the errors are those of `portraits`; ValueError for too few images, too.
    """
    if len(images) < FEWEST:
        raise ValueError(f"{len(images)} photographs are too few to learn features from; expected at least {FEWEST}")
    task, started = Photographs(images, source, seed), time.perf_counter()
    steps = steps or STEPS[task.name]
    _learn(task, steps, out, resume, progress)
    task.whiten()
    record = {"outputs": 0, "licence": PHOTOGRAPHS_LICENCE, "command": command}
    record |= {"seconds": None if resume else round(time.perf_counter() - started, 1)}
    features = _write(task, steps, out, record)
    known = torch.cat([features.features(unit(part)) for part in images[: task.known].split(1000)]).double()
    rows = torch.cat([features.features(unit(part)) for part in images[task.known :][:ROWS].split(1000)])
    statistics = {"mean": known.mean(0).float(), "cov": known.T.cov().float(), "rows": rows.half()}
    record |= {"n_held_out": len(rows)}
    held_out = unit(images[task.known :][:CALIBRATED])
    record |= {"calibration": calibrate(features, known[:CALIBRATED].float(), held_out)}
    return _write(task, steps, out, record, {f"reference.{key}": value for key, value in statistics.items()})


def _learn(task: Task, steps: int, out: str | Path, resume: bool, progress: bool) -> None:
    learn(task, steps, Path(out) / f"{task.name}.checkpoint.safetensors", resume=resume, progress=progress)


def _write(
    task: Task, steps: int, out: str | Path, record: dict[str, Any], extra: dict[str, Tensor] | None = None
) -> Features:
    """Write the network in float16 and what else is known, and return it as it will be loaded."""
    weights = {key: value for key, value in task.network.state_dict().items() if value.is_floating_point()}
    tensors = {key: value.half().contiguous() for key, value in weights.items()} | (extra or {})
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError(f"weights of {task.name} are not finite in float16; train with another seed")
    facts = {
        "name": task.name,
        "parameters": sum(value.numel() for value in weights.values()),
        **task.facts(),
        "steps": steps,
        **provenance(),
        **record,
    }
    write_pair(Path(out) / f"{task.name}.safetensors", to_bytes(tensors), facts)
    return load(task.name, out)
