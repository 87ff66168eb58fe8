"""Geodesics as splines of least energy: for every decoder, ReLUs included, and for many curves at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from hollow.geometry.curves import FINE, Geodesics, ends
from hollow.geometry.graph import Graph
from hollow.geometry.metric import Metric, root
from hollow.prior import check, is_whole


@dataclass(frozen=True)
class Splines:
    """Cubic splines from z0 to z1 with free values at equally spaced knots; a curve is a line plus `basis(t) @ w`.

    Weights are such that the energy of a flat metric is the energy of the line plus the sum of their squares:
    one step of gradient descent then solves the flat problem, and curved ones are well scaled.
    """

    knots: int
    segments: int

    def basis(self, time: np.ndarray, derivative: int = 0) -> Tensor:
        """Return what each weight does to the curve at `time`, shape (T, knots)."""
        at = np.linspace(0, 1, self.knots + 2)
        cardinal = CubicSpline(at, np.eye(self.knots + 2)[:, 1:-1])
        steps = np.diff(cardinal(np.linspace(0, 1, self.segments + 1)), axis=0)
        whitened = np.linalg.inv(np.linalg.cholesky(self.segments * steps.T @ steps)).T
        return torch.as_tensor(cardinal(time, derivative) @ whitened)

    def curves(self, z0: Tensor, z1: Tensor, weights: Tensor, time: np.ndarray) -> Tensor:
        """Return points (T, n, D) for weights (n, knots, D)."""
        share = torch.as_tensor(time, dtype=z0.dtype, device=z0.device)[:, None, None]
        return (1 - share) * z0 + share * z1 + torch.einsum("tk,nkd->tnd", self.basis(time).to(z0), weights)

    def fitted(self, points: Tensor) -> Tensor:
        """Return the weights (n, knots, D) of the splines nearest to curves (T, n, D) at equally spaced times."""
        time = np.linspace(0, 1, len(points))
        share = torch.as_tensor(time).to(points)[:, None, None]
        bend = points - (1 - share) * points[0] - share * points[-1]
        inverse = torch.linalg.pinv(self.basis(time)).to(points)
        return torch.einsum("kt,tnd->nkd", inverse, bend)


def by_energy(
    metric: Metric,
    z0: Tensor,
    z1: Tensor,
    *,
    graph: Graph | None = None,
    start: Tensor | None = None,
    knots: int = 8,
    segments: int = 32,
    steps: int = 200,
    tolerance: float = 1e-6,
    quiet: bool = False,
) -> Geodesics:
    """Return the splines of least energy between latents z0 and z1, (..., D) each.

    The energy of a curve is the mean squared speed of its decoded image, in secants: it asks for no derivative of the
    decoder but the gradient. L-BFGS goes down from a path through `graph`, from `start`, curves (T, n, D), or from the
    straight line; each curve has its own steps and its own verdict.

    A metric that is singular at an end raises a `ValueError`: with so little to measure, any line would be shortest.
    (Where a Jacobian costs much, two ends are looked at.)

    Parameters
    ----------
    metric, z0, z1, graph, start
        See above; the local minimum that is found is the one near the start.
    knots, segments : int, keyword-only
        Free values of a spline, and secants of its energy.
    steps, tolerance : int, float, keyword-only
        Most steps; a curve has converged when a step promises to lower its energy by less than this share.
    quiet : bool, keyword-only
        Without the warning that names the curves that did not converge.
    """
    first, last, shape = ends(metric, z0, z1)
    for name, value in (("knots", knots), ("segments", segments), ("steps", steps)):
        check(is_whole(value) and value >= 1, f"{name} is {value!r}; expected a positive integer")
    check(segments > knots, f"segments is {segments} for {knots} knots; expected more segments than knots")
    root(metric.sample(torch.cat((first, last))))
    splines, time = Splines(knots, segments), np.linspace(0, 1, segments + 1)
    if start is None and graph is not None:
        start = graph.paths(first, last)
    if start is not None:
        expected = (len(first), first.shape[-1])
        check(
            start.ndim >= 2 and len(start) >= 2 and start[0].reshape(-1, start.shape[-1]).shape == expected,
            f"start is of shape {tuple(start.shape)}; expected (T, {expected[0]}, {expected[1]})",
        )
        weights = splines.fitted(start.reshape(len(start), -1, start.shape[-1]).to(first))
    else:
        weights = first.new_zeros(len(first), knots, first.shape[-1])

    def slope(which: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = [], []
        probe = splines.curves(first[:1], last[:1], weights[:1], time)
        for part, rows in zip(flat.split(metric.curves(probe)), which.split(metric.curves(probe)), strict=True):
            leaf = part.detach().requires_grad_()
            curves = splines.curves(first[rows], last[rows], leaf.reshape(len(rows), knots, -1), time)
            energy = segments * metric.squares(curves).sum(0)
            slopes.append(torch.autograd.grad(energy.sum(), leaf)[0])
            values.append(energy.detach())
        return torch.cat(values), torch.cat(slopes)

    best, _, promise = minimise(slope, weights.flatten(1), steps=steps, tolerance=tolerance)
    weights = best.reshape(len(first), knots, -1)
    points = splines.curves(first, last, weights, np.linspace(0, 1, FINE))
    points[0], points[-1] = first, last
    length = metric.length(points)
    direction = last - first + torch.einsum("k,nkd->nd", splines.basis(np.zeros(1), 1)[0].to(first), weights)
    speed = metric.norm(first, direction)
    velocity = direction * (length / speed.clamp_min(torch.finfo(speed.dtype).tiny))[:, None]
    converged = (promise <= tolerance) & points.isfinite().all(-1).all(0)
    found = Geodesics(
        metric, points, velocity, length.reshape(shape), converged.reshape(shape), promise.reshape(shape), shape
    )
    return found if quiet else found.warn()


def minimise(
    slope: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    *,
    steps: int,
    tolerance: float,
    memory: int = 8,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise many functions at once by L-BFGS, one a row of x (n, P), each with its own line search.

    `slope(which, x)` returns the values (m,) and gradients (m, P) of the rows numbered `which` (m,). A row rests once a
    step promises less than `tolerance` of its value. Returned are the rows, their values, and what one more step
    promises of each, as a share of its value.
    """
    x, n = x.clone(), len(x)
    value, gradient = slope(torch.arange(n, device=x.device), x)
    promise = torch.full_like(value, torch.inf)
    moved, turned = (x.new_zeros(memory, *x.shape) for _ in range(2))
    weight = x.new_zeros(memory, n)  # 1 / (moved . turned), 0 for an empty place
    active = torch.arange(n, device=x.device)
    for step in range(steps):
        direction = -_two_loops(gradient[active], moved[:, active], turned[:, active], weight[:, active])
        down = (gradient[active] * direction).sum(1)
        promise[active] = -down / value[active].clamp_min(torch.finfo(x.dtype).tiny)
        going = promise[active] > tolerance
        active, direction, down = active[going], direction[going], down[going]
        if not len(active):
            break
        if step == 0:  # nothing is known of the curvature yet: a flat metric of this energy would need this step
            scale = (value[active] / gradient[active].square().sum(1)).clamp_max(0.5)
            direction, down = direction * scale[:, None], down * scale
        size = x.new_ones(len(active))
        better = torch.zeros(len(active), dtype=torch.bool, device=x.device)
        old_x, old_gradient = x[active].clone(), gradient[active].clone()
        for _ in range(16):  # Armijo's rule; rows that have found their step wait for the others
            rest = (~better).nonzero().flatten()
            rows = active[rest]
            trial = old_x[rest] + size[rest, None] * direction[rest]
            new, slopes = slope(rows, trial)
            ok = new <= value[rows] + 1e-4 * size[rest] * down[rest]
            x[rows[ok]], value[rows[ok]], gradient[rows[ok]] = trial[ok], new[ok], slopes[ok]
            better[rest[ok]] = True
            if bool(better.all()):
                break
            size[rest[~ok]] /= 4
        difference, change = x[active] - old_x, gradient[active] - old_gradient
        product = (difference * change).sum(1)
        keep = product > 1e-10 * change.square().sum(1).clamp_min(1e-300)
        moved, turned, weight = (torch.cat((past[1:], torch.zeros_like(past[:1]))) for past in (moved, turned, weight))
        moved[-1, active], turned[-1, active] = difference, change
        weight[-1, active] = torch.where(keep, 1 / product.where(keep, torch.ones_like(product)), 0.0)
        # No step is better: forget the curvature once, and rest if the plain gradient does no better.
        lost = active[~better]
        stuck = weight[:, lost].sum(0) == 0
        weight[:, lost] = 0
        active = torch.cat((active[better], lost[~stuck])).sort().values
    return x, value, promise


def _two_loops(gradient: Tensor, moved: Tensor, turned: Tensor, weight: Tensor) -> Tensor:
    """Inverse Hessian times gradient, row by row, by the two loops of L-BFGS; history (memory, n, P), newest last."""
    q, kept = gradient.clone(), []
    for s, y, rho in zip(moved.flip(0), turned.flip(0), weight.flip(0), strict=True):
        alpha = rho * (s * q).sum(1)
        q -= alpha[:, None] * y
        kept.append(alpha)
    some = weight > 0
    curvature = torch.where(some, (moved * turned).sum(2) / turned.square().sum(2).clamp_min(1e-300), 0.0)
    scale = curvature.sum(0) / some.sum(0).clamp_min(1)
    q = q * torch.where(some.any(0), scale, torch.ones_like(scale))[:, None]
    for s, y, rho, alpha in zip(moved, turned, weight, reversed(kept), strict=True):
        q += s * (alpha - rho * (y * q).sum(1))[:, None]
    return q
