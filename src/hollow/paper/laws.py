"""Figure 1 of the paper: how long the latents of four priors are."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hollow import figures, priors
from hollow.law import Law

DIMS = (20, 50, 100, 200)
N = 10_000  # draws, as in the paper


def figure_1(*, seed: int = 0) -> Figure:
    """Draw the norm of normal, uniform, Cauchy and Kilcher latents as D grows, exact laws over simulation."""
    generator = torch.Generator().manual_seed(seed)
    norms: dict[str, dict[int, tuple[Law, ArrayLike]]] = {}
    for name in ("normal", "uniform", "cauchy", "kilcher"):
        by_dim = {dim: priors.get(name, dim) for dim in DIMS}
        norms[name] = {
            dim: (prior.norm(), prior.sample(N, generator).double().norm(dim=-1).numpy())
            for dim, prior in by_dim.items()
        }
    return figures.figure_of(figures.norms_by_dimension(norms)[0])
