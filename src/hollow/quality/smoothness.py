"""How the ground-truth factors of portraits move along paths of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hollow.faces import FACTORS
from hollow.quality.factors import HUES
from hollow.quality.network import Features

SMOOTH = tuple(f for f in FACTORS if f.kind == "continuous" and f.name not in HUES)  # hues have no ends, classes no way
BEYOND = 0.1  # of a factor's range: how far outside its ends a factor must go to be counted as invented


def motion(pictures: Tensor, network: Features) -> np.ndarray[Any, np.dtype[np.float32]]:
    r"""Return how factors move along n paths of portraits.

    With the factors :math:`f_k(t)` as fractions of their ranges, summed over k: the way
    :math:`\sum_t |f_k(t+1) - f_k(t)|`, the distance of the ends :math:`|f_k(T) - f_k(0)|`, and the largest step; and
    the share of the factors that leave the interval of their ends by more than `BEYOND` somewhere on the path.

    Parameters
    ----------
    pictures : Tensor
        (T, n, 3, 64, 64), floats in [-1, 1].
    network : Features
        That of portraits.

    Returns
    -------
    array, shape (4, n)
        Way, distance, largest step, invented share. Way over distance is the detour, at least 1.
    """
    if pictures.ndim != 5 or len(pictures) < 2:
        raise ValueError(f"paths have shape {tuple(pictures.shape)}; expected (T, n, 3, 64, 64) with T at least 2")
    read = network.factors(pictures.flatten(0, 1))
    tracks = torch.stack([(read[f.name].view(len(pictures), -1) - f.lo) / (f.hi - f.lo) for f in SMOOTH])
    steps = tracks.diff(dim=1).abs()
    low, high = torch.minimum(tracks[:, 0], tracks[:, -1]), torch.maximum(tracks[:, 0], tracks[:, -1])
    out = (tracks.amax(1) > high + BEYOND) | (tracks.amin(1) < low - BEYOND)
    distance = (tracks[:, -1] - tracks[:, 0]).abs().sum(0)
    return torch.stack([steps.sum((0, 1)), distance, steps.amax(1).sum(0), out.float().mean(0)]).numpy()


def detour(moved: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    """Return way over distance, of all paths together; shape (4, ..., n) to (...)."""
    return moved[0].sum(-1) / moved[1].sum(-1)
