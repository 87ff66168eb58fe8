"""Figures of section 2 and Appendix B: what generators make of the Cauchy prior, and of Kilcher's.

Each path is labelled with how long its ends are: the share of draws that are shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from hollow import figures, quality, zoo
from hollow.figures.style import RED
from hollow.paper.along import AXIS, LAM, lines, path_rows
from hollow.pictures import BORDER
from hollow.zoo import Model

FAILED = 0.05  # share of saturated values that one portrait in 200 exceeds
TAIL = (0.99, 0.999)  # norm quantiles of tail points; the paper picked its own by hand and says no more
PANELS_14 = {10: "cauchy-10", 50: "cauchy-50", 100: "cauchy", 200: "cauchy-200"}
_PAIR = {"Cauchy": "cauchy", "Kilcher": "kilcher"}


def failed(images: Tensor, limit: float = FAILED) -> Tensor:
    """Say of each image (n, 3, height, width) whether it is a failed one: more than `limit` of it is saturated."""
    return torch.tensor([quality.saturation(image) > limit for image in images])


def quantile(model: Model, z: Tensor) -> Tensor:
    """Return the share of draws of the model's prior that are shorter than `z` (..., D), from the exact law, (...)."""
    return torch.from_numpy(model.prior.norm().cdf(z.double().norm(dim=-1).numpy()))


def tail_points(model: Model, n: int, generator: torch.Generator) -> Tensor:
    """Return n draws of the model's prior whose norm lies between the quantiles `TAIL`, shape (n, D)."""
    kept = torch.empty(0, model.prior.dim)
    while len(kept) < n:
        z = model.prior.sample(20_000, generator)
        u = quantile(model, z)
        kept = torch.cat([kept, z[(u > TAIL[0]) & (u < TAIL[1])]])
    return kept[:n]


def mark(images: Tensor, columns: int, ax: Axes, *, limit: float = FAILED) -> None:
    """Frame the failed ones of `images` in a gallery of `columns` that `ax` shows."""
    step = images.shape[-1] + BORDER
    for i in failed(images, limit).nonzero().flatten().tolist():
        corner = (i % columns * step - 0.5, i // columns * step - 0.5)
        ax.add_patch(Rectangle(corner, step + BORDER, step + BORDER, fill=False, edgecolor=RED, linewidth=2.2))


def grids(panels: Mapping[str, Tensor], columns: int, *, limit: float = FAILED) -> Figure:
    """Draw images (n, 3, height, width) of several models by name, panels two abreast, failed ones framed."""
    rows = next(iter(panels.values())).shape[0] // columns
    height = (figures.WIDTH / 2 * rows / columns + 0.25) * (len(panels) // 2)
    figure, axes = plt.subplots(len(panels) // 2, 2, figsize=(figures.WIDTH, height), squeeze=False)
    for ax, (title, images) in zip(axes.flat, panels.items(), strict=True):
        figures.gallery(images, columns, title=title, ax=ax)
        mark(images, columns, ax, limit=limit)
    return figure


def _between(model: Model, z0: Tensor, z1: Tensor) -> Figure:
    """Straight lines of one model, failed pictures framed, with the norm quantiles of both ends on the left."""
    ends = torch.stack([quantile(model, z0), quantile(model, z1)], 1).tolist()
    images = lines(model, z0, z1)
    figure = path_rows(images, [f"{100 * a:.3g} %\n{100 * b:.3g} %" if a != b else f"{100 * a:.3g} %" for a, b in ends])
    mark(images.transpose(0, 1).flatten(0, 1), len(LAM), figure.axes[0])
    return figure


def figure_2(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Samples of the Cauchy model and of Kilcher's, failed ones framed: Figure 2 of the paper."""
    generator, panels = torch.Generator().manual_seed(seed + 2), {}
    for label, name in _PAIR.items():
        model = zoo.load(name, models, device=device)
        panels[label] = model.decode(model.prior.sample(36, generator))
    return grids(panels, 6)


def figure_3(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Straight lines between draws, of the Cauchy model and of Kilcher's: Figure 3 of the paper."""
    generator, panels = torch.Generator().manual_seed(seed + 3), {}
    for label, name in _PAIR.items():
        model = zoo.load(name, models, device=device)
        panels[label] = lines(model, *model.prior.sample((2, 4), generator))
    return figures.stack(panels, **AXIS)


def figure_13(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Samples of the Cauchy model, failed ones framed: Figure 13 of the paper."""
    model = zoo.load("cauchy", models, device=device)
    images = model.decode(model.prior.sample(96, torch.Generator().manual_seed(seed + 13)))
    figure, ax = plt.subplots(figsize=(figures.WIDTH, figures.WIDTH * 8 / 12))
    figures.gallery(images, 12, ax=ax)
    mark(images, 12, ax)
    return figure


def figure_14(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Samples of Cauchy models of four latent dimensions, failed ones framed: Figure 14 of the paper."""
    generator, panels = torch.Generator().manual_seed(seed + 14), {}
    for dim, name in PANELS_14.items():
        model = zoo.load(name, models, device=device)
        panels[f"D = {dim}"] = model.decode(model.prior.sample(80, generator))
    return grids(panels, 10)


def figure_15(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Straight lines between draws of the Cauchy prior: Figure 15 of the paper."""
    model = zoo.load("cauchy", models, device=device)
    return _between(model, *model.prior.sample((2, 6), torch.Generator().manual_seed(seed + 15)))


def figure_16(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Straight lines between opposite points of the Cauchy prior, which all pass through G(0): Figure 16."""
    model = zoo.load("cauchy", models, device=device)
    z = model.prior.sample(5, torch.Generator().manual_seed(seed + 16))
    return _between(model, z, -z)


def figure_17(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Straight lines between points from the tail of the Cauchy prior, found by `TAIL`: Figure 17 of the paper."""
    model = zoo.load("cauchy", models, device=device)
    z0, z1 = tail_points(model, 10, torch.Generator().manual_seed(seed + 17)).chunk(2)
    return _between(model, z0, z1)
