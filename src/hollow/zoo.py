"""Trained generators: float16 weights in safetensors, a JSON manifest beside them, hashes checked on loading."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from hollow import experiments, priors
from hollow.dcgan import Generator
from hollow.files import atomic, read_record, sha256, write_record
from hollow.machine import provenance, shipped
from hollow.priors import Prior
from hollow.trainer import Trainer

FIELDS = {  # that a manifest must have
    "prior": str, "dim": int, "arch": str, "bias": bool, "depth": int, "activation": str, "norm": bool,
    "recipe": dict, "images": str, "steps": int, "bytes": int, "sha256": str,
}  # fmt: skip
FILES = (".safetensors", ".json")  # of a model
PORTRAITS_LICENCE = "CC BY 4.0"
PHOTOGRAPHS_LICENCE = "that of the photographs; weights trained on CelebA are for non-commercial research only"


@dataclass(frozen=True)
class Model:
    """A trained generator, the prior that it was trained with, and its manifest."""

    name: str
    generator: Generator
    prior: Prior
    manifest: dict[str, Any]

    @torch.no_grad()
    def decode(self, z: Tensor, *, batch: int = 256) -> Tensor:
        """Return float32 images in [-1, 1] on the CPU, shape (..., 3, 64, 64), for finite latents of shape (..., D)."""
        if not bool(torch.isfinite(z).all()):
            raise ValueError("latents hold NaN or infinity; give finite ones")
        device = next(self.generator.parameters()).device
        flat = z.reshape(-1, z.shape[-1]).to(device, torch.float32)
        images = torch.cat([self.generator(part).cpu() for part in flat.split(batch)])
        return images.reshape(*z.shape[:-1], *images.shape[1:])


def folder(models: str | Path | None = None) -> Path:
    """Return where weights are looked for: `models` if given, else those that travel with the package."""
    return Path(models) if models else shipped("models")


def available(models: str | Path | None = None) -> list[str]:
    """Return the names of the models in a folder, snapshots (`name@step`) included."""
    if not folder(models).is_dir():
        raise ValueError(f"there is no folder {folder(models)}; name one that holds models")
    return sorted(path.stem for path in folder(models).glob("*.safetensors") if path.with_suffix(".json").exists())


def snapshots(name: str, models: str | Path | None = None) -> list[tuple[int, str]]:
    """Return (step, name) of a model's snapshots over training and of its end, in order of the steps."""
    pattern = re.compile(re.escape(name) + r"@(\d+)")
    found = [(int(match[1]), other) for other in available(models) if (match := pattern.fullmatch(other))]
    return [*sorted(found), (manifest(name, models)["steps"], name)]


def manifest(name: str, models: str | Path | None = None) -> dict[str, Any]:
    """Return a model's manifest; a ValueError names the command that makes a missing one."""
    path = folder(models) / f"{name}.json"
    try:
        record = read_record(path)
        wrong = [key for key, kind in FIELDS.items() if type(record.get(key)) is not kind]
        if wrong:
            raise ValueError(f"it lacks a proper {', '.join(wrong)}")
        return record
    except FileNotFoundError:
        row = experiments.get(name.split("@")[0])
        snapshots = f" (its snapshots: {', '.join(map(str, row.snapshots)) or 'none'})" if "@" in name else ""
        make = f"make it with: hollow train {row.name}, then name its folder, runs/{row.name}, as models"
        raise ValueError(f"there is no model {name!r} in {path.parent}{snapshots}; {make}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"manifest {path} cannot be read ({error}); restore it or train the model again") from error


def whole(name: str, models: str | Path | None = None) -> bool:
    """Return whether a model's manifest is there, and the weights that it describes."""
    try:
        return manifest(name, models)["sha256"] == sha256(folder(models) / f"{name}.safetensors")
    except (OSError, ValueError):
        return False


def load(name: str, models: str | Path | None = None, *, device: str = "cpu") -> Model:
    """Return a trained model by name, such as "normal", or a snapshot of it, such as "normal@500".

    Parameters
    ----------
    name : str
        A row of `hollow.experiments.TABLE`, with "@step" for a snapshot.
    models : path, optional
        Folder of weights and manifests; by default those that are shipped.
    device : str, keyword-only
        Where the generator is put; its weights are float32 there.

    Raises
    ------
    ValueError
        If the model is unknown or missing (with the command that makes it), or its file is not the one
        that the manifest describes.
    """
    record = manifest(name, models)
    path = folder(models) / f"{name}.safetensors"
    mend = "restore the file or train the model again"
    if not path.exists():
        raise ValueError(f"weights {path} are missing although their manifest is there; {mend}")
    try:
        found = sha256(path)
    except OSError as error:
        raise ValueError(f"weights {path} cannot be read ({error.strerror}); {mend}") from error
    if found != record["sha256"]:
        raise ValueError(
            f"weights {path} have SHA-256 {found[:12]}..., the manifest says {record['sha256'][:12]}...; {mend}"
        )
    try:
        weights = {key: value.float() for key, value in load_file(path).items()}
        shape = {key: record[key] for key in experiments.SHAPE}
        generator = Generator(width=record["recipe"]["width"], **shape)
        generator.load_state_dict(weights)
    except (SafetensorError, RuntimeError, KeyError) as error:
        said = " ".join(str(error).split())  # torch says a line for each layer
        raise ValueError(f"weights {path} do not fit their manifest ({said}); {mend}") from error
    generator.eval().requires_grad_(False).to(device)
    return Model(name, generator, priors.get(record["prior"], record["dim"]), record)


def export(
    trainer: Trainer, name: str, models: str | Path, *, images: str, preset: str, command: str, seconds: float | None
) -> Path:
    """Write the averaged generator in float16, with a manifest of where it comes from, and return its path.

    `seconds` is the training time, None for a run that was resumed. A ValueError says if a weight does not fit float16.
    Where one of the two files cannot be written, the old pair stays.
    """
    experiment, recipe = trainer.experiment, trainer.recipe
    half = {key: value.cpu().half().contiguous() for key, value in trainer.averaged.state_dict().items()}
    if not all(bool(torch.isfinite(value).all()) for value in half.values()):
        raise ValueError(f"weights of {name} are not finite in float16; train with another seed or a lower lr")
    path = Path(models) / f"{name}.safetensors"
    weights = to_bytes(half)
    record = {
        "name": name,
        "experiment": experiment.name,
        "prior": experiment.prior,
        **{key: getattr(experiment, key) for key in experiments.SHAPE},
        "preset": preset,
        "recipe": asdict(recipe),
        "steps": trainer.done,
        "seed": trainer.seed,
        "images": images,
        "n_images": len(trainer.images),
        "seconds": seconds,
        "command": command,
        **provenance(str(trainer.device)),
        "licence": PORTRAITS_LICENCE if images == "procedural" else PHOTOGRAPHS_LICENCE,
    }
    write_pair(path, weights, record)
    return path


def write_pair(path: Path, weights: bytes, record: dict[str, Any]) -> None:
    """Write weights and their manifest, which gets their size and SHA-256: both, or on a full disk neither."""
    with atomic(path.with_suffix(".json")) as note, atomic(path) as part:  # the weights are in place first
        part.write_bytes(weights)
        write_record(note, {**record, "bytes": len(weights), "sha256": sha256(part)})


def read_pair(path: Path, mend: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, in float32, and the manifest that `write_pair` wrote.

    A ValueError says if a file is missing or changed, and ends with `mend`.
    """
    try:
        record = read_record(path.with_suffix(".json"))
        found = sha256(path)
        if found != record.get("sha256"):
            raise ValueError(f"its SHA-256 is {found[:12]}..., not that of its manifest")
        return {key: value.float() for key, value in load_file(path).items()}, record
    except FileNotFoundError as error:
        raise ValueError(f"there is no {error.filename}; {mend}") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {mend}") from error
