"""The ground-truth factors of a portrait, read from its pixels: what is learned, and how well it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hollow.faces import FACTORS, Factor, render, sample_factors
from hollow.learning import Task, stream
from hollow.quality.network import Network
from hollow.quality.pixels import unit

HUES = ("background_hue", "clothing_hue")  # circles: learned as cosine and sine
BATCH = 64
HELD_OUT = 1 << 31  # seed of the portraits of the scores, which no step of training has
LEVELS, PIXELS = 12, 8  # a factor is seen where it moves that many of the 64 x 64 pixels by that many of 255 levels


def width(factor: Factor) -> int:
    """Return the number of outputs that a factor takes: its classes, 2 for a hue, else 1."""
    return factor.classes or (2 if factor.name in HUES else 1)


OUTPUTS = sum(map(width, FACTORS))


def split(outputs: Tensor) -> dict[str, Tensor]:
    """Return the columns of each factor of outputs (n, OUTPUTS)."""
    return dict(zip([f.name for f in FACTORS], outputs.split([width(f) for f in FACTORS], 1), strict=True))


def target(factor: Factor, value: Tensor) -> Tensor:
    """Return what is learned: mean 0 and variance 1, shape (n, 1), or (n, 2) for a hue; (n,) for a class."""
    if factor.probs:
        return value.long()
    if factor.name in HUES:
        angle = 2 * math.pi * value
        return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], 1)
    return ((value - (factor.lo + factor.hi) / 2) * (math.sqrt(12) / (factor.hi - factor.lo)))[:, None]


def decode(outputs: Tensor) -> dict[str, Tensor]:
    """Return the factors that outputs (n, OUTPUTS) stand for, inside their ranges: the inverse of `target`."""
    columns, found = split(outputs), {}
    for factor in FACTORS:
        out = columns[factor.name]
        if factor.probs:
            found[factor.name] = out.argmax(1)
        elif factor.name in HUES:
            found[factor.name] = torch.atan2(out[:, 1], out[:, 0]).div(2 * math.pi).remainder(1)
        else:
            middle, unit_ = (factor.lo + factor.hi) / 2, (factor.hi - factor.lo) / math.sqrt(12)
            found[factor.name] = (middle + out[:, 0] * unit_).clamp(factor.lo, factor.hi)
    return found


def loss(outputs: Tensor, factors: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over factors of the squared error, or of the cross entropy for classes."""
    columns, parts = split(outputs), []
    for factor in FACTORS:
        out, want = columns[factor.name], target(factor, factors[factor.name])
        parts.append(F.cross_entropy(out, want) if factor.probs else F.mse_loss(out, want))
    return torch.stack(parts).mean()


def seen(factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return where each factor is visible, by painting every portrait again with that factor moved.

    A factor is visible in a portrait if moving it over its whole range (from `lo` to `hi`, half way around the circle
    for a hue, from the own class to every other) changes at least PIXELS of the 64 x 64 pixels by at least LEVELS of
    255 grey levels in some colour. Brows under a fringe, or the side of a light without strength, are not visible.

    Parameters
    ----------
    factors : Mapping[str, Tensor]
        (n,) for each of `hollow.faces.FACTORS`.

    Returns
    -------
    dict[str, Tensor]
        (n,) booleans for each factor.
    """

    def differ(name: str, a: Tensor, b: Tensor) -> Tensor:
        x, y = (render({**factors, name: value}).short() for value in (a, b))
        return (x - y).abs().amax(1).ge(LEVELS).flatten(1).sum(1) >= PIXELS

    found = {}
    for factor in FACTORS:
        own = factors[factor.name]
        if factor.probs:
            others = [differ(factor.name, own, (own + k) % factor.classes) for k in range(1, factor.classes)]
            found[factor.name] = torch.stack(others).all(0)
        elif factor.name in HUES:
            found[factor.name] = differ(factor.name, own, (own + 0.5) % 1)
        else:
            ends = (torch.full_like(own, end) for end in (factor.lo, factor.hi))
            found[factor.name] = differ(factor.name, *ends)
    return found


def scores(outputs: Tensor, factors: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> dict[str, float]:
    r"""Return how well each factor is read from the portraits of its mask.

    .. math:: R^2 = 1 - \sum_i |\hat y_i - y_i|^2 / \sum_i |y_i - \bar y|^2

    over the standardised factor, or over cosine and sine of a hue; for a class the balanced accuracy, which is the mean
    over classes of the share that is recognised.
    """
    columns, found = split(outputs), {}
    for factor in FACTORS:
        keep = mask[factor.name]
        out, want = columns[factor.name][keep].double(), target(factor, factors[factor.name])[keep]
        if factor.probs:
            right = (out.argmax(1) == want).double()
            found[factor.name] = float(torch.stack([right[want == k].mean() for k in want.unique()]).mean())
        else:
            found[factor.name] = float(1 - (out - want).square().sum() / (want - want.mean(0)).square().sum())
    return found


class Portraits(Task):
    """Regression of the factors of portraits that are painted afresh for each step."""

    name = "portraits"
    rate = 2.5e-3
    network: Network

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Network(OUTPUTS)
        self.seed = seed

    def batch(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return BATCH portraits never seen before, and their factors."""
        factors = sample_factors(BATCH, torch.Generator().manual_seed(stream(self.seed, step)))
        return unit(render(factors)), factors

    def forward(self, batch: tuple[Tensor, dict[str, Tensor]]) -> Tensor:
        assert self.network.head is not None
        return loss(self.network.head(self.network(batch[0])), batch[1])

    def facts(self) -> dict[str, Any]:
        return {"images": "procedural", "batch": BATCH, "seed": self.seed}
