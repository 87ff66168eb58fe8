"""What the decoded paths of the paper's figures share: their positions, and how they are labelled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hollow import interpolations
from hollow.zoo import Model

LAM = torch.linspace(0, 1, 9)
AXIS: dict[str, Any] = {"columns": [f"{lam:g}" for lam in LAM.tolist()], "column_label": r"position $\lambda$"}


def along(model: Model, name: str, z0: Tensor, z1: Tensor, lam: Tensor = LAM) -> Tensor:
    """Decode the path called `name` between latents (n, D), shape (T, n, 3, height, width)."""
    return model.decode(interpolations.get(name, model.prior)(z0, z1, lam))


def lines(model: Model, z0: Tensor, z1: Tensor) -> Tensor:
    """Decode straight lines between latents (n, D) at `LAM`, shape (T, n, 3, height, width)."""
    return along(model, "linear", z0, z1)
