"""The record of chapter 14 on data that cannot travel with the book, and the small networks that check it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ot
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from hollow import autoencoders, quality
from hollow import digits as handwritten
from hollow.files import atomic, read_record, sha256, write_record
from hollow.images import load
from hollow.machine import provenance, shipped
from hollow.transport.judges import Reader
from hollow.transport.potential import Potential
from hollow.transport.study import Study, of_digits, of_faces
from hollow.zoo import PHOTOGRAPHS_LICENCE, read_pair, write_pair

DIM, FITTING, STEPS = 16, 2000, 1200  # of MNIST


def record(
    out: Path, pieces: Path, *, digits: Path | None, images: str | None, seeds: int,
    progress: Callable[[str], object] = print,
) -> None:  # fmt: skip
    """Add the comparisons that `out` does not hold yet, one file write after each; see `hollow transport --help`."""
    held: dict[str, Any] = read_record(out) if out.exists() else {}
    todo: list[tuple[str, str, Callable[[int], Study]]] = []
    if digits is not None:
        data = handwritten.load(digits)
        run = lambda seed: of_digits(data, dim=DIM, fitting=FITTING, steps=STEPS, seed=seed)  # noqa: E731
        todo.append(("mnist", data.sha256, run))
    if images is not None:
        pixels = torch.from_numpy(load(images, limit=autoencoders.IMAGES).pixels)
        seen = autoencoders.load("photographs").manifest["n_images"]
        if len(pixels) <= seen:
            raise ValueError(f"the first {seen} photographs may have trained the autoencoder; {images} has no others")
        faces = lambda seed: of_faces("photographs", pixels, steps=STEPS, seed=seed, vae=vae("photographs"))  # noqa: E731
        todo.append(("photographs", sha256(images) if Path(images).is_file() else "", faces))
    left = sum(max(0, seeds - len(held.get(name, {}).get("runs", []))) for name, _, _ in todo)
    for name, digest, run in todo:
        part = held.get(name, {"sha256": digest, "runs": []})
        if part["sha256"] != digest:
            raise ValueError(f"{out} is about other {name}; name another file with --out")
        for seed in range(len(part["runs"]), seeds):
            start = time.perf_counter()
            study = run(seed)
            taken = time.perf_counter() - start
            rows = {way: {key: round(float(v), 4) for key, v in row.items()} for way, row in study.rows.items()}
            part["runs"].append(rows)
            part["held"] = study.held
            words = ["--digits", digits.name] if digits else []
            words += ["--images", Path(images).name] if images else []
            told = shlex.join(["hollow", "transport", *words])
            versions = {"pot": ot.__version__, "torch": torch.__version__}
            held[name] = part | {"command": told, **provenance(), "versions": versions}  # parts may be of two commands
            held.pop("seal", None)
            if seed == 0:
                keep(study, pieces / f"transport-{name}.safetensors", told)
            with atomic(out) as path:
                write_record(path, held)
            left -= 1
            progress(f"{name}, seed {seed}: {taken:.0f} s; {left} left, about {left * taken / 60:.0f} minutes")


def vae(name: str) -> autoencoders.Shipped | None:
    """Return the shipped VAE of "portraits" or "photographs", None if there is none."""
    try:
        return autoencoders.load(f"{name}-vae")
    except ValueError:
        return None


def keep(study: Study, path: Path, command: str) -> None:
    """Write the map, and of digits the decoder, the classifier and the moments of its features, in float16."""
    tensors = {f"map.{key}": value for key, value in study.transport.state_dict().items()}
    record: dict[str, Any] = {"name": path.stem, "command": command, "held": study.held, **provenance()}
    if study.reader is not None and study.known is not None:
        network = study.decode.__self__  # type: ignore[attr-defined]
        kept = {k: v for k, v in network.state_dict().items() if not k.startswith("encoder.")}
        tensors |= {f"decoder.{key}": value for key, value in kept.items()}
        tensors |= {f"reader.{key}": value for key, value in study.reader.state_dict().items()}
        tensors |= {"known.mean": study.known.mean, "known.cov": study.known.cov}
        record["licence"] = "CC BY-SA 3.0, as MNIST"
    else:
        record["licence"] = PHOTOGRAPHS_LICENCE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pair(path, to_bytes({key: value.half().contiguous() for key, value in tensors.items()}), record)


class Kept:
    """What `keep` wrote: `transport`, and of digits `network`, which decodes, `reader` and `known`."""

    def __init__(self, name: str, folder: str | Path | None = None) -> None:
        found = Path(folder or shipped("neighbours"))
        path = found / f"transport-{name}.safetensors"
        tensors, self.manifest = read_pair(path, "restore it or make it again: hollow transport")

        def part(of: str) -> dict[str, Tensor]:
            return {key.removeprefix(of): value for key, value in tensors.items() if key.startswith(of)}

        planes = tensors["map.planes"]
        dim = planes.shape[2]
        some = torch.eye(dim + 10, dim)
        self.transport = Potential(some, some, heads=planes.shape[0], pieces=planes.shape[1])
        self.transport.load_state_dict(part("map."))
        self.transport.requires_grad_(False)
        if "known.mean" in tensors:
            pixels = tensors["reader.body.0.weight"].shape[1]
            self.network = autoencoders.Dense(pixels, dim)
            self.network.load_state_dict(part("decoder."), strict=False)
            self.network.requires_grad_(False)
            self.reader = Reader(pixels)
            self.reader.load_state_dict(part("reader."))
            self.reader.requires_grad_(False)
            rows = torch.empty(0, planes.shape[2])
            self.known = quality.Statistics(tensors["known.mean"], tensors["known.cov"], self.manifest["held"], rows)
