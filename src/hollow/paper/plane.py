"""Figures 4 and 5 of the paper: paths in the plane."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.figure import Figure

from hollow import figures, interpolations, priors

FINE = (1 - torch.cos(torch.linspace(0, torch.pi, 801, dtype=torch.float64))) / 2  # dense near the ends
METHODS = ("linear", "spherical", "normalized", "cauchy-linear", "spherical-cauchy-linear")


def figure_4(*, seed: int = 0) -> Figure:
    """Draw cauchy-linear paths on the uniform, Cauchy and normal prior, and spherical-cauchy-linear ones on normal."""
    generator = torch.Generator().manual_seed(seed + 4)
    panels = (
        ("(a) uniform", "uniform", "cauchy-linear", 1.1),
        ("(b) Cauchy", "cauchy", "cauchy-linear", 9),
        ("(c) normal", "normal", "cauchy-linear", 3.2),
        ("(d) normal, spherical", "normal", "spherical-cauchy-linear", 3.2),
    )
    flat = {name: priors.get(name, 2) for name in ("uniform", "cauchy", "normal")}
    drawn = {name: (law.sample((2, 6), generator).double(), law.sample(800, generator)) for name, law in flat.items()}
    figure, axes = plt.subplots(2, 2, figsize=(figures.WIDTH, 7.2))
    for ax, (title, name, path, reach) in zip(axes.flat, panels, strict=True):
        (a, b), dots = drawn[name]
        curves = interpolations.get(path, flat[name])(a, b, FINE)
        figures.plane(curves, flat[name], dots, reach=reach, title=title, ax=ax)
    for ax in axes[0]:
        ax.set_xlabel("")
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    return figure


def fan() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 15 neighbouring ends, shape (15, 2), and the cauchy-linear paths to them from one point, (T, 15, 2)."""
    start = torch.tensor([-1.7, -1.2], dtype=torch.float64)
    ends = torch.stack((torch.linspace(2.0, 0.9, 15), torch.linspace(0.2, 1.9, 15)), 1).double()
    path = interpolations.get("cauchy-linear", priors.get("normal", 2))
    return ends, path(start.expand(15, 2), ends, FINE)


def figure_5(*, seed: int = 0) -> Figure:
    """Draw cauchy-linear paths to neighbouring ends, and all methods between two points, over the normal prior."""
    flat = priors.get("normal", 2)
    cloud = flat.sample(800, torch.Generator().manual_seed(seed + 5))
    figure, axes = plt.subplots(1, 2, figsize=(figures.WIDTH, 4.1), sharey=True)
    shades = sns.color_palette("crest", 15)
    figures.plane(fan()[1], flat, cloud, colours=shades, width=1.1, title="(a) neighbouring ends", ax=axes[0])
    ends = torch.tensor([[-2.3, 0.5], [0.7, 1.1]], dtype=torch.float64)
    curves = torch.stack([interpolations.get(name, flat)(ends[0], ends[1], FINE) for name in METHODS], 1)
    figures.plane(
        curves, flat, cloud, colours=[figures.COLOURS[name] for name in METHODS], labels=METHODS, ends=False,
        title="(b) all methods", ax=axes[1],
    )  # fmt: skip
    axes[1].plot(*ends.T, "o", color="black", markersize=6, markeredgecolor="white", zorder=4)
    axes[1].legend(loc="lower center", ncols=2, fontsize=7)
    axes[1].label_outer()
    return figure
