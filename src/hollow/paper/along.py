"""What the decoded paths of the paper's figures share: their positions, and how they are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hollow import figures, interpolations
from hollow.zoo import Model

LAM = torch.linspace(0, 1, 9)
AXIS: dict[str, Any] = {"columns": [f"{lam:g}" for lam in LAM.tolist()], "column_label": r"position $\lambda$"}


def along(model: Model, name: str, z0: Tensor, z1: Tensor, lam: Tensor = LAM) -> Tensor:
    """Decode the path called `name` between latents (n, D), shape (T, n, 3, height, width)."""
    return model.decode(interpolations.get(name, model.prior)(z0, z1, lam))


def lines(model: Model, z0: Tensor, z1: Tensor) -> Tensor:
    """Decode straight lines between latents (n, D) at `LAM`, shape (T, n, 3, height, width)."""
    return along(model, "linear", z0, z1)


def path_rows(images: Tensor, labels: Sequence[str] = ()) -> Figure:
    """Draw paths of one model decoded at `LAM`, shape (T, n, 3, height, width), a row each; labels go on the left."""
    width = figures.WIDTH - 0.7 * bool(labels)
    figure, ax = plt.subplots(figsize=(figures.WIDTH, width * images.shape[1] / len(LAM) + 0.45))
    figures.strips(images, rows=labels, ax=ax, **AXIS)
    return figure
