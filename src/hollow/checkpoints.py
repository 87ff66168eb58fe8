"""Checkpoints: the trainer's whole state in one safetensors file, with its hash and what it belongs to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from hollow.files import atomic
from hollow.trainer import Trainer

_FORMAT = "hollow-checkpoint-2"


def _digest(tensors: dict[str, Tensor], header: dict[str, str]) -> str:
    said = {key: value for key, value in header.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())  # the same bytes may be other numbers
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _identity(trainer: Trainer, source: str) -> dict[str, str]:
    """Return what must agree between a checkpoint and the run that resumes it; the number of steps may grow."""
    free = ("steps", "log_every", "checkpoint_every", "grids")
    fixed = {k: v for k, v in asdict(trainer.recipe).items() if k not in free}
    return {
        "experiment": trainer.experiment.name,
        "recipe": json.dumps(fixed),
        "seed": str(trainer.seed),
        "images": source,
        "n_images": str(len(trainer.images)),
    }


def save(trainer: Trainer, path: str | Path, source: str = "") -> None:
    """Write the trainer's whole state to `path` in one piece, with its SHA-256 in the header."""
    write(path, trainer.state(), trainer.done, _identity(trainer, source))


def load(trainer: Trainer, path: str | Path, source: str = "") -> None:
    """Set the trainer to the state in `path`; a ValueError says if it is damaged or of another run."""
    trainer.load_state(*read(path, _identity(trainer, source)))


def write(path: str | Path, tensors: dict[str, Tensor], done: int, identity: dict[str, str]) -> None:
    """Write the tensors of a run after step `done`, and what identifies the run, in one piece."""
    header = {"format": _FORMAT, "done": str(done), **identity}
    header["sha256"] = _digest(tensors, header)
    with atomic(path) as part:
        part.write_bytes(to_bytes(tensors, header))


def read(path: str | Path, identity: dict[str, str]) -> tuple[dict[str, Tensor], int]:
    """Return the tensors that `write` wrote, and the step.

    Raises
    ------
    ValueError
        If the file is damaged or belongs to another experiment, recipe, seed or data set.
    """
    mend = "delete it to start again"
    try:
        with safe_open(path, "pt") as file:
            header, tensors = file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"checkpoint {path} cannot be read ({error}); {mend}") from error
    if header.get("format") != _FORMAT:
        raise ValueError(f"checkpoint {path} has the format {header.get('format')}, not {_FORMAT}; {mend}")
    if header.get("sha256") != _digest(tensors, header):
        raise ValueError(f"checkpoint {path} is damaged: its contents do not have the recorded SHA-256; {mend}")
    for key, expected in identity.items():
        if header.get(key) != expected:
            raise ValueError(
                f"checkpoint {path} has {key} {header.get(key)}, this run {expected}; choose another --out, or {mend}"
            )
    return tensors, int(header["done"])
