"""From a row of the table to a trained model, and the whole table one row after the other."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hollow import experiments, images, training
from hollow.experiments import Experiment, Recipe
from hollow.files import atomic

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
    seed : int, optional
        By default that of each row.
    """

    preset: str = "lite"
    photographs: str | None = None
    steps: int | None = None
    device: str = "cpu"
    seed: int | None = None

    def recipe(self, row: Experiment) -> Recipe:
        """Return the recipe with the row's width and the plan's number of steps."""
        recipe = experiments.recipe(self.preset)
        return replace(recipe, width=round(recipe.width * row.widen), steps=self.steps or recipe.steps)

    def seed_of(self, row: Experiment) -> int:
        """Return the seed of the training of a row."""
        return row.seed if self.seed is None else self.seed

    def command(self, name: str, source: str) -> str:
        """Return the command that repeats the training of one row on `source`, "procedural" or a path."""
        told = {"--preset": self.preset, "--images": source, "--steps": self.steps, "--seed": self.seed}
        words = [str(word) for option in told.items() if option not in _USUAL.items() for word in option]
        return shlex.join(["hollow", "train", name, *words])


class Data(NamedTuple):
    """Training images, the words that name them in a manifest, and how many files were of no use."""

    pixels: Tensor
    source: str
    skipped: int


def load_images(source: str, recipe: Recipe) -> Data:
    """Return the training images of `source`, "procedural" or a path."""
    if source == "procedural":
        return Data(images.dataset(source, recipe.n_images), source, 0)
    loaded = images.load(source, limit=recipe.n_images)
    return Data(torch.from_numpy(loaded.pixels), f"{Path(source).name} {loaded.key}", loaded.skipped)


def train_all(out: Path, plan: Plan) -> Iterator[tuple[str, str]]:
    """Train every row of the table into `out/NAME`, collect the weights in `out`, and yield each name with its state.

    What is finished is kept, what was begun goes on from its checkpoint, rows that need photographs are left out
    without them; `hollow.zoo.load` takes `out`.
    """
    sources = {"portraits": "procedural", "celeba": plan.photographs}
    loaded: dict[str, Data] = {}
    for name, row in experiments.TABLE.items():
        source = sources[row.images]
        if source is None:
            yield name, "left out: it needs photographs, give them with --images"
            continue
        recipe = plan.recipe(row)
        if finished(row, recipe, plan, out):
            yield name, "kept"
            continue
        if source not in loaded:
            loaded = {source: load_images(source, recipe)}  # one set of images in memory at a time
        data = loaded[source]
        training.train(
            row, recipe, out / name, images=data.pixels, source=data.source, preset=plan.preset, device=plan.device,
            seed=plan.seed_of(row), resume=True, command=plan.command(name, source),
        )  # fmt: skip
        for file in sorted([*(out / name).glob(f"{name}.*"), *(out / name).glob(f"{name}@*.*")], reverse=True):
            with atomic(out / file.name) as part:  # weights before manifests: a pair is whole once its manifest is
                shutil.copyfile(file, part)
        yield name, "trained"


def finished(row: Experiment, recipe: Recipe, plan: Plan, out: Path) -> bool:
    """Whether `out` holds the weights of a row, trained by this recipe and seed to the end."""
    try:
        record = json.loads((out / f"{row.name}.json").read_text())
    except (OSError, ValueError):
        return False
    wanted = {"recipe": json.loads(json.dumps(asdict(recipe))), "seed": plan.seed_of(row)}
    wanted |= {key: getattr(row, key) for key in ("prior", *experiments.SHAPE)}
    return (out / f"{row.name}.safetensors").exists() and all(record.get(key) == value for key, value in wanted.items())
