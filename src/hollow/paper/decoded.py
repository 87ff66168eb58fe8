"""Figures 6 and 18 to 20: paths other than straight lines, decoded by the model of the normal prior."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hollow import figures, zoo
from hollow.paper.along import AXIS, LAM, along, path_rows
from hollow.paper.plane import METHODS
from hollow.zoo import Model


def side_by_side(model: Model, z0: Tensor, z1: Tensor) -> Figure:
    """Draw all `METHODS` between the same ends, a row each, for each of n pairs of latents (n, D)."""
    images = torch.stack([along(model, name, z0, z1) for name in METHODS], 2)  # (T, n, methods, ...)
    labels = [name.replace("-", "-\n") for name in METHODS]
    n = len(z0)
    height = (figures.WIDTH - 1.0) * len(METHODS) * n / len(LAM) + 0.1 * n + 0.4
    figure, axes = plt.subplots(n, 1, figsize=(figures.WIDTH, height), squeeze=False)
    for pair, ax in enumerate(axes[:, 0]):
        figures.strips(images[:, pair], rows=labels, ax=ax, **(AXIS if pair == n - 1 else {}))
    return figure


def figure_6(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """All paths of the paper between the same ends, for two pairs, in the normal model: Figure 6 of the paper."""
    model = zoo.load("normal", models, device=device)
    return side_by_side(model, *model.prior.sample((2, 2), torch.Generator().manual_seed(seed + 22)))


def figure_18(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Cauchy-linear paths between opposite points, which all pass through G(0) (erratum 23): Figure 18."""
    model = zoo.load("normal", models, device=device)
    z = model.prior.sample(5, torch.Generator().manual_seed(seed + 18))
    return path_rows(along(model, "cauchy-linear", z, -z))


def figure_19(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Cauchy-linear paths between draws of the normal prior: Figure 19 of the paper."""
    model = zoo.load("normal", models, device=device)
    ends = model.prior.sample((2, 6), torch.Generator().manual_seed(seed + 19))
    return path_rows(along(model, "cauchy-linear", *ends))


def figure_20(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Spherical-cauchy-linear paths between the ends of `figure_19`: Figure 20 of the paper."""
    model = zoo.load("normal", models, device=device)
    ends = model.prior.sample((2, 6), torch.Generator().manual_seed(seed + 19))
    return path_rows(along(model, "spherical-cauchy-linear", *ends))
