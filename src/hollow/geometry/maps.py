"""Exponential and logarithm: along geodesics, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hollow.geometry.boundary import by_boundary
from hollow.geometry.curves import Geodesics
from hollow.geometry.energy import by_energy
from hollow.geometry.metric import Metric
from hollow.prior import check

SOLVERS: dict[str, Callable[..., Geodesics]] = {"energy": by_energy, "boundary": by_boundary}


def geodesic(metric: Metric, z0: Tensor, z1: Tensor, *, solver: str = "energy", **options: Any) -> Geodesics:
    """Return the geodesics between latents z0 and z1, (..., D) each, all solved at once.

    Parameters
    ----------
    metric : Metric
        `PullBack(decoder)`, or another.
    z0, z1 : Tensor, shape (..., D)
    solver : str, keyword-only
        "energy" (`by_energy`), splines for every decoder; "boundary" (`by_boundary`), the differential equation, for
        smooth ones: slower, and exact to many digits.
    **options
        Of the solver: `graph`, and others.
    """
    check(solver in SOLVERS, f"unknown solver {solver!r}; expected one of {', '.join(SOLVERS)}")
    return SOLVERS[solver](metric, z0, z1, **options)


def logarithm(metric: Metric, z0: Tensor, z1: Tensor, *, solver: str = "boundary", **options: Any) -> Tensor:
    """Return the velocity v at z0, (..., D), whose geodesic is at z1 after unit time; its norm is the distance."""
    path = geodesic(metric, z0, z1, solver=solver, **options)
    return path.velocity.reshape(*path.shape, -1)


def exponential(metric: Metric, z: Tensor, v: Tensor, *, tolerance: float = 1e-5, most: int = 1024) -> Tensor:
    """Return where the geodesic from z with velocity v is after unit time, (..., D); the decoder has to be smooth.

    Runge-Kutta steps of fourth order; their number is doubled until the ends move by less than `tolerance`, relative to
    the way gone, or exceeds `most`: those that have not settled then are NaN, and a warning says which.
    """
    metric.check(z, second=True)
    check(z.shape == v.shape, f"velocities are of shape {tuple(v.shape)}, latents {tuple(z.shape)}; expected the same")
    first, speed = (x.reshape(-1, x.shape[-1]).contiguous() for x in (z, v))
    metric.acceleration(first, speed)  # a singular metric is named here
    end = torch.full_like(first, torch.nan)
    todo, steps, before = torch.arange(len(first)), 16, None
    while steps <= most and len(todo):
        found = _shoot(metric, first[todo], speed[todo], steps)
        if before is not None:
            scale = (found - first[todo]).norm(dim=1) + speed[todo].norm(dim=1)
            settled = (found - before).norm(dim=1) <= tolerance * scale
            end[todo[settled]] = found[settled]
            todo, found = todo[~settled], found[~settled]
        before, steps = found, 2 * steps
    if len(todo):
        which = ", ".join(map(str, todo[:8].tolist())) + (", ..." if len(todo) > 8 else "")
        warnings.warn(
            f"{len(todo)} of {len(first)} exponentials did not settle in {most} steps (points {which}), they are NaN; "
            "give shorter velocities",
            stacklevel=2,
        )
    return end.reshape(z.shape)


def _shoot(metric: Metric, z: Tensor, v: Tensor, steps: int) -> Tensor:
    """Position after unit time, by the classical Runge-Kutta method."""
    h = 1 / steps
    for _ in range(steps):
        a1 = metric.accelerate(z, v)
        v2 = v + h / 2 * a1
        a2 = metric.accelerate(z + h / 2 * v, v2)
        v3 = v + h / 2 * a2
        a3 = metric.accelerate(z + h / 2 * v2, v3)
        v4 = v + h * a3
        a4 = metric.accelerate(z + h * v3, v4)
        z = z + h / 6 * (v + 2 * v2 + 2 * v3 + v4)
        v = v + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
    return z
