"""Solved geodesics: curves that are called like the paths of `hollow.interpolations`, and say if they converged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.interpolate import CubicSpline, PchipInterpolator
from torch import Tensor

from hollow.geometry.metric import Metric
from hollow.prior import check

FINE = 257  # points of the table behind a solved curve


@dataclass(frozen=True)
class Geodesics:
    """Curves of constant speed between latents, `path(lam)` of shape (T, ..., D) for positions (T,) in [0, 1].

    Attributes
    ----------
    metric : Metric
    points : Tensor, shape (257, n, D)
        The curves at equally spaced times; NaN where a boundary-value problem was not solved.
    velocity : Tensor, shape (n, D)
        Velocity at the start; of a curve of unit time and constant speed, so that it is the logarithm of z1 at z0.
    length : Tensor, shape (...)
        Length under the metric, NaN where there is no curve.
    converged : Tensor of bool, shape (...)
    residual : Tensor, shape (...)
        What convergence is judged by. By energy: the decrease of energy that one more step promises, over the energy.
        By boundary values: the largest part of c'' that the equation of geodesics leaves over, over length squared.
    shape : tuple
        The shape (...) of the latents that were joined.
    """

    metric: Metric
    points: Tensor
    velocity: Tensor
    length: Tensor
    converged: Tensor
    residual: Tensor
    shape: tuple[int, ...]

    def __call__(self, lam: Any) -> Tensor:
        lam = torch.atleast_1d(torch.as_tensor(lam, dtype=torch.float64))
        check(
            lam.ndim == 1 and bool(((lam >= 0) & (lam <= 1)).all()),
            f"lam is of shape {tuple(lam.shape)}; expected positions (T,) in [0, 1], where a geodesic is solved",
        )
        out = torch.full((len(lam), *self.points.shape[1:]), torch.nan, dtype=self.points.dtype)
        for i in self.solved:
            time = self._clocks[i](lam.numpy())
            out[:, i] = torch.as_tensor(self._curves[i](time), dtype=out.dtype)
        out[lam == 0], out[lam == 1] = self.points[0].cpu(), self.points[-1].cpu()  # not only to rounding
        return out.reshape(len(lam), *self.shape, -1).to(self.points.device)

    @property
    def solved(self) -> list[int]:
        """Numbers of the curves that exist, in the flattened batch."""
        return self.points.isfinite().all(-1).all(0).nonzero().flatten().tolist()

    @cached_property
    def _curves(self) -> dict[int, CubicSpline]:
        time, points = np.linspace(0, 1, len(self.points)), self.points.cpu().double().numpy()
        return {i: CubicSpline(time, points[:, i]) for i in self.solved}

    @cached_property
    def _clocks(self) -> dict[int, PchipInterpolator]:
        """Time at which each curve has gone a share lam of its length."""
        shares = _shares(self.metric, self.points[:, self.solved]).cpu().double().numpy()
        time = np.linspace(0, 1, len(self.points))
        return {i: PchipInterpolator(shares[:, k], time) for k, i in enumerate(self.solved)}

    def report(self) -> str:
        """Return one line that says which curves did not converge, "" if all did."""
        bad = (~self.converged).flatten().nonzero().flatten().tolist()
        if not bad:
            return ""
        which = ", ".join(map(str, bad[:8])) + (", ..." if len(bad) > 8 else "")
        worst = float(self.residual.flatten()[bad].nan_to_num(torch.inf).max())
        lost = "they are NaN" if not set(bad) & set(self.solved) else "they are the best curves found, and no geodesics"
        return (
            f"{len(bad)} of {self.converged.numel()} geodesics did not converge (curves {which}; "
            f"residual {worst:.1g}), {lost}; give a graph of data for the start, or more knots or steps"
        )

    def warn(self) -> Geodesics:
        """Say in one warning which curves did not converge, and return the same curves."""
        if line := self.report():
            warnings.warn(line, stacklevel=3)
        return self


def _shares(metric: Metric, points: Tensor) -> Tensor:
    """Share of its length that each curve (T, n, D) has gone at each point, (T, n), strictly increasing."""
    with torch.no_grad():
        steps = torch.cat([metric.squares(part) for part in points.split(metric.curves(points), dim=1)], 1).sqrt()
    gone = torch.cat((torch.zeros_like(steps[:1]), steps.double().cumsum(0)))
    total = gone[-1:].clamp_min(1e-300)
    even = torch.linspace(0, 1, len(points), dtype=gone.dtype, device=gone.device)[:, None]
    return gone / total * (1 - 1e-9) + even * 1e-9  # equal endpoints have no length to share


def ends(metric: Metric, z0: Tensor, z1: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return both endpoints as (n, D), broadcast, and the shape (...) of the batch; bad ones raise `ValueError`."""
    for z in (z0, z1):
        metric.check(z)
    try:
        shape = torch.broadcast_shapes(z0.shape, z1.shape)
    except RuntimeError:
        shape = torch.Size(())
    check(
        len(shape) >= 1 and shape[-1] == z0.shape[-1] == z1.shape[-1],
        f"endpoints are of shapes {tuple(z0.shape)} and {tuple(z1.shape)}; expected (..., D) and (..., D), alike",
    )
    dtype = torch.promote_types(z0.dtype, z1.dtype)
    first, last = (z.to(dtype).expand(shape).reshape(-1, shape[-1]).contiguous() for z in (z0, z1))
    return first, last, tuple(shape[:-1])
