"""Brownian motion on the manifold of a decoder: noise that keeps to the data."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from hollow.geometry.metric import Metric, factored, root
from hollow.prior import check, is_positive, is_whole


def brownian(
    metric: Metric,
    z: Tensor,
    *,
    steps: int,
    time: float,
    drift: bool = True,
    quiet: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return Brownian motions from latents z, (..., D), at `steps` + 1 equally spaced times up to `time`, (T, ..., D).

    Each step is a short geodesic: z + u + a / 2, where u has the law N(0, dt M(z)^-1) and a = -Gamma(u, u) is the
    acceleration of the geodesic that starts so (Jorgensen, 1975). Where M is large, on the edge of the data, steps are
    short. Where a would be longer than u it is shortened to the length of u: on a slope too steep for the step the
    second order overshoots, and there the law is not that of Brownian motion; with more steps this becomes rare. A
    motion that comes to where the metric is singular, far outside the data, is NaN from there on, and a warning says
    which; take more steps.

    Parameters
    ----------
    metric, z
    steps, time : int, float, keyword-only
        `time` in squared units of length: in D dimensions E distance^2 = D time, as long as space looks flat.
    drift : bool, keyword-only
        False leaves a out, for decoders with kinks, which have none; the law is then that of another diffusion.
    quiet : bool, keyword-only
        Without that warning.
    generator : torch.Generator, keyword-only
    """
    metric.check(z, second=drift)
    check(is_whole(steps) and steps >= 1, f"steps is {steps!r}; expected a positive integer")
    check(is_positive(time), f"time is {time!r}; expected a positive number")
    at = z.reshape(-1, z.shape[-1]).contiguous()
    root(metric.matrix(at))  # a singular metric at the start is named here
    walk, alive = [at], torch.ones(len(at), dtype=torch.bool)
    for _ in range(steps):
        noise = torch.randn(at.shape, generator=generator, dtype=at.dtype)
        factor, bad = factored(metric.matrix(at))
        alive = alive & ~bad
        # M = L L^T, so that L^-T noise has the covariance M^-1.
        move = torch.linalg.solve_triangular(factor.mT, noise[..., None], upper=True)[..., 0]
        move = move * (time / steps) ** 0.5
        if drift:
            bend = metric.accelerate(at, move) / 2
            # On a slope that is steep for this step the second order overshoots; it may not exceed the first.
            size = bend.norm(dim=1, keepdim=True).clamp_min(1e-300)
            move = move + bend * (move.norm(dim=1, keepdim=True) / size).clamp_max(1)
        at = torch.where(alive[:, None], at + move, at)
        walk.append(torch.where(alive[:, None], at, torch.nan))
    if not quiet and not bool(alive.all()):
        lost = (~alive).nonzero().flatten().tolist()
        which = ", ".join(map(str, lost[:8])) + (", ..." if len(lost) > 8 else "")
        warnings.warn(
            f"{len(lost)} of {len(at)} Brownian motions came to where the metric is singular (motions {which}), "
            "they are NaN from there; take more steps",
            stacklevel=2,
        )
    return torch.stack(walk).reshape(steps + 1, *z.shape)
