"""Figures 7 and 8 of the paper: straight lines through the origin, in five models and over training."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from hollow import figures, zoo
from hollow.paper.along import AXIS, lines

PANELS_7 = {
    "a) uniform": "uniform",
    "b) sphere": "sphere",
    "c) fully\nconnected": "normal-fc",
    "d) normal,\nD = 150": "normal-150",
    "e) normal,\nD = 200": "normal-200",
}


def figure_7(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Straight lines between opposite points in five models: Figure 7 of the paper.

    Two latents z a model, each joined to -z; all lines of a model pass through its one image G(0) (erratum 23).
    """
    generator, panels = torch.Generator().manual_seed(seed), {}
    for label, name in PANELS_7.items():
        model = zoo.load(name, models, device=device)
        z = model.prior.sample(2, generator)
        panels[label] = lines(model, z, -z)
    return figures.stack(panels, **AXIS)


def figure_8(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """One straight line between opposite points at each kept step of the normal model's training: Figure 8."""
    generator, rows = torch.Generator().manual_seed(seed), {}
    z = zoo.load("normal", models).prior.sample(1, generator)
    for step, name in zoo.snapshots("normal", models):
        rows[f"step {step:,}"] = lines(zoo.load(name, models, device=device), z, -z)
    return figures.stack(rows, **AXIS)
