"""The ablation of chapter 07: short runs of the lite recipe with one part taken away, recorded in one JSON file.

`python -m hollow.ablation` makes `ablation.json` and a strip of samples for each run in `book/assets`; runs that are
recorded already, with the same recipe, are not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from hollow import experiments, quality
from hollow.experiments import PRESETS, Recipe
from hollow.faces import portraits
from hollow.files import atomic
from hollow.machine import SOURCE, commit, hardware
from hollow.pictures import BORDER, save
from hollow.trainer import Trainer

STEPS = 800
POINTS = (0, 10, 25, 50, 100, 200, 300, 400, 500, 600, 700, 800)  # steps at which samples are measured
PICTURES = (200, 400, 800)  # steps whose samples are kept, a row each
SAMPLES = 256  # that are measured
WINDOW = 20  # steps over which losses are averaged

LITE = replace(PRESETS["lite"], steps=STEPS, batch=32, n_images=4000)


@dataclass(frozen=True)
class Variant:
    """One run: an experiment, a recipe, and whether the first layer is scaled by the prior's median norm."""

    name: str
    change: str
    experiment: str
    recipe: Recipe
    scaled: bool = True

    def key(self) -> str:
        """Return the hash of what the run depends on: the recipe, the prior and the points."""
        text = json.dumps([asdict(self), POINTS, PICTURES, SAMPLES, WINDOW], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


VARIANTS = (
    Variant("lite", "nothing: the lite recipe", "normal", LITE),
    Variant("small-start", "weights start at N(0, 0.02²)", "normal", replace(LITE, init="normal")),
    Variant("cauchy", "Cauchy prior, first layer scaled", "cauchy", LITE),
    Variant("cauchy-unscaled", "Cauchy prior, first layer not scaled", "cauchy", LITE, scaled=False),
    Variant("no-r1", "no R1 penalty", "normal", replace(LITE, r1_gamma=0.0)),
    Variant(
        "appendix-a",
        "all of Appendix A but its width",
        "normal",
        replace(PRESETS["paper"], width=LITE.width, steps=STEPS, batch=LITE.batch, n_images=LITE.n_images),
    ),
)


def start(variant: Variant, images: Tensor, *, device: str = "cpu", seed: int = 0) -> Trainer:
    """Return the trainer of a variant before its first step."""
    trainer = Trainer(experiments.get(variant.experiment), variant.recipe, images, device=device, seed=seed)
    if not variant.scaled:  # He's rule without the prior: std sqrt(2 / D) in place of sqrt(2) / median norm
        factor = trainer.prior.median_norm / trainer.prior.dim**0.5
        for network in (trainer.generator, trainer.averaged):
            next(network.parameters()).data.mul_(factor)
    return trainer


@torch.no_grad()
def decode(network: torch.nn.Module, trainer: Trainer) -> Tensor:
    """Return images of `SAMPLES` latents, always the same ones."""
    z = trainer.prior.sample(SAMPLES, torch.Generator().manual_seed(trainer.seed))
    return network(z.to(trainer.device)).float().cpu()


def run(
    variant: Variant, images: Tensor, *, points: Iterable[int] | None = None, progress: bool = False, **options: Any
) -> tuple[dict[str, Any], list[Tensor]]:
    """Train a variant up to the last of `points`, by default `POINTS`.

    Returns
    -------
    dict
        "points", a row for each with `quality.compare` of averaged and of raw weights; "losses", rows of means over
        `WINDOW` steps; "seconds".
    list of Tensor
        Eight samples (8, 3, 64, 64) at each step of `PICTURES` that was reached.
    """
    points, begun = sorted(points or POINTS), time.perf_counter()
    trainer, data = start(variant, images, **options), quality.unit(images[:512])
    data_spread = quality.spread(data)
    rows, losses, window, kept = [], [], [], []
    for step in tqdm(range(points[-1] + 1), desc=variant.name, unit="step", disable=not progress):
        if step in points:
            drawn = {"averaged": decode(trainer.averaged, trainer), "raw": decode(trainer.generator, trainer)}
            found = {k: quality.compare(v, data, data_spread=data_spread) for k, v in drawn.items()}
            rows.append({"step": step} | {f"{k}.{m}": round(x, 5) for k, v in found.items() for m, x in v.items()})
            kept += [drawn["averaged"][:8]] if step in PICTURES else []
        if step < points[-1]:
            window.append(trainer.step())
            if len(window) == WINDOW:
                means = {k: round(float(sum(w[k] for w in window)) / WINDOW, 4) for k in ("d_loss", "g_loss")}
                losses.append({"step": trainer.done, **means})
                window = []
    return {"points": rows, "losses": losses, "seconds": round(time.perf_counter() - begun, 1)}, kept


def main(arguments: list[str] | None = None) -> None:
    """Make the record; what it holds already is kept."""
    parser = argparse.ArgumentParser(prog="python -m hollow.ablation", description=__doc__.split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("book/assets"), help="folder of the record")
    parser.add_argument("--device", default="cpu")
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    path = options.out / "ablation.json"
    record = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    images = portraits(LITE.n_images, 0, progress=True)[0]
    for variant in VARIANTS:
        if record["runs"].get(variant.name, {}).get("key") == variant.key():
            continue
        result, kept = run(variant, images, progress=True, device=options.device)
        facts = {"key": variant.key(), "change": variant.change, "experiment": variant.experiment, "seed": 0}
        facts |= {"recipe": asdict(variant.recipe), "scaled": variant.scaled, "hardware": hardware(options.device)}
        facts |= {"torch": torch.__version__.split("+")[0], "commit": commit(SOURCE / "src"), "source": source()}
        record["runs"][variant.name] = facts | result
        save(torch.cat(kept), options.out / f"ablation-{variant.name}.png")
        record["command"] = shlex.join(["python", "-m", "hollow.ablation", *arguments])
        with atomic(path) as part:
            part.write_text(json.dumps(record, indent=1) + "\n")


def pictures(folder: str | Path, name: str) -> Tensor:
    """Return the recorded samples of a run, uint8 of shape (steps, 8, 3, 64, 64), a row for each of `PICTURES`."""
    with Image.open(Path(folder) / f"ablation-{name}.png") as file:
        sheet = torch.from_numpy(np.array(file.convert("RGB")))[BORDER:, BORDER:]
    return sheet.unfold(0, 64, 64 + BORDER).unfold(1, 64, 64 + BORDER)


def source() -> str:
    """Return the hash of the code that a run trains with."""
    here = Path(__file__).parent
    files = ("dcgan", "experiments", "trainer", "faces", "painting", "prior", "priors", "distributions", "derived")
    return hashlib.sha256(b"".join((here / f"{name}.py").read_bytes() for name in files)).hexdigest()[:16]


if __name__ == "__main__":
    main()
