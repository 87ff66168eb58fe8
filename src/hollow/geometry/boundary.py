"""Geodesics as solutions of their differential equation, by collocation: for smooth decoders, to many digits."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import BarycentricInterpolator, CubicSpline
from torch import Tensor
from torch.func import jvp

from hollow.geometry.curves import FINE, Geodesics, ends
from hollow.geometry.energy import by_energy
from hollow.geometry.graph import Graph
from hollow.geometry.metric import Metric, root
from hollow.prior import check, is_whole


def by_boundary(
    metric: Metric,
    z0: Tensor,
    z1: Tensor,
    *,
    graph: Graph | None = None,
    start: Tensor | None = None,
    nodes: tuple[int, ...] = (32, 64, 128, 256),
    steps: int = 20,
    tolerance: float = 1e-3,
    quiet: bool = False,
) -> Geodesics:
    """Solve c'' = -Gamma(c', c') with c(0) = z0 and c(1) = z1, (..., D) each, by collocation at Chebyshev nodes.

    Curves are polynomials; Newton's method, with steps halved where they do not help, makes them obey the equation at
    their nodes. The verdict is taken *between* the nodes, where nothing was asked of the polynomial. Curves that fail
    are tried again with more nodes, and those that fail in the end are NaN: a line is never passed off as a geodesic.

    Parameters
    ----------
    metric, z0, z1
        A smooth metric; a decoder with kinks raises a `ValueError` that names the layer.
    graph, start : Graph, Tensor (T, n, D), optional
        Where to start; by default splines of low energy, which are started from the graph if there is one.
    nodes : tuple of int, keyword-only
        Numbers of nodes, tried in turn.
    steps, tolerance : int, float, keyword-only
        Newton steps; largest residual of c'' + Gamma(c', c') = 0 over length squared, both measured by the metric.
    quiet : bool, keyword-only
        Without the warning that names the curves that did not converge.
    """
    first, last, shape = ends(metric, z0, z1)
    check(
        len(nodes) >= 1 and all(is_whole(m) and m >= 4 for m in nodes),
        f"nodes is {nodes!r}; expected integers of 4 or more",
    )
    metric.check(first, second=True)
    root(metric.matrix(torch.cat((first, last))))
    if start is None:
        rough = by_energy(metric, first, last, graph=graph, tolerance=1e-4, quiet=True)
        start = rough.points
    start = start.reshape(len(start), -1, start.shape[-1]).to(first)
    check(
        start.shape[1:] == first.shape,
        f"start is of shape {tuple(start.shape)}; expected (T, {len(first)}, {first.shape[1]})",
    )
    points = first.new_full((FINE, *first.shape), torch.nan)
    velocity = torch.full_like(first, torch.nan)
    residual = first.new_full((len(first),), torch.inf)
    todo, curves, before = torch.arange(len(first)), start, None
    for count in nodes:
        time, derivative = chebyshev(count)
        fine, slope = (matrix.to(first) for matrix in _between(time, np.linspace(0, 1, FINE), derivative))
        if before is None:
            begin = _resampled(start, time)
        else:  # the coarser polynomial, which is smooth: what it lacks is for Newton's method to add
            begin = torch.einsum("tm,mnd->tnd", _between(before, time, None)[0].to(first), curves)
        begin[0], begin[-1] = first[todo], last[todo]
        curves = _newton(metric, begin, derivative.to(first), steps)
        table = torch.einsum("tm,mnd->tnd", fine, curves)
        worst = _residual(metric, curves, time, derivative)
        good = worst < residual[todo]
        rows = todo[good]
        residual[rows] = worst[good]
        points[:, rows] = table[:, good]
        velocity[rows] = torch.einsum("m,mnd->nd", slope[0], curves)[good]
        left = worst > tolerance
        todo, curves, before = todo[left], curves[:, left], time
        if not len(todo):
            break
    bad = residual > tolerance
    points[:, bad], velocity[bad] = torch.nan, torch.nan
    length = metric.norm(first, velocity.nan_to_num())
    length[bad] = torch.nan
    points[0, ~bad], points[-1, ~bad] = first[~bad], last[~bad]
    found = Geodesics(
        metric, points, velocity, length.reshape(shape), ~bad.reshape(shape), residual.reshape(shape), shape
    )
    return found if quiet else found.warn()


def chebyshev(count: int) -> tuple[np.ndarray, Tensor]:
    """Return the Chebyshev nodes (m,) on [0, 1] and the matrix (m, m) that differentiates polynomials at them."""
    time = (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
    ends = np.r_[2.0, np.ones(count - 2), 2.0] * (-1.0) ** np.arange(count)
    gap = time[:, None] - time + np.eye(count)
    matrix = np.outer(ends, 1 / ends) / gap
    return time, torch.as_tensor(matrix - np.diag(matrix.sum(1)))


def _between(time: np.ndarray, at: np.ndarray, derivative: Tensor | None) -> tuple[Tensor, Tensor]:
    """Matrices (T, m) from values at the nodes to values of the polynomial, and of its slope, at other times."""
    values = torch.as_tensor(BarycentricInterpolator(time, np.eye(len(time)))(at))
    return values, values if derivative is None else values @ derivative


def _resampled(points: Tensor, time: np.ndarray) -> Tensor:
    """Curves (T, n, D) at equal times, at other times; splines, for the corners of lines have no second derivative."""
    spline = CubicSpline(np.linspace(0, 1, len(points)), points.cpu().double().numpy())
    return torch.as_tensor(spline(time)).to(points)


def _defect(metric: Metric, curves: Tensor, derivative: Tensor) -> Tensor:
    """What the equation leaves over at the inner nodes, (m - 2, n, D)."""
    slope = torch.einsum("ij,jnd->ind", derivative, curves)
    bend = torch.einsum("ij,jnd->ind", derivative, slope)
    force = metric.accelerate(curves[1:-1].flatten(0, 1), slope[1:-1].flatten(0, 1))
    return bend[1:-1] - force.reshape(bend[1:-1].shape)


def _newton(metric: Metric, curves: Tensor, derivative: Tensor, steps: int) -> Tensor:
    """Curves (m, n, D) after Newton steps on the defect, each curve with its own damping."""
    count, n, dim = curves.shape
    axes = torch.eye(2 * dim, dtype=curves.dtype)
    twice = derivative @ derivative
    active = torch.arange(n)
    value = _defect(metric, curves, derivative)
    for _ in range(steps):
        here = curves[:, active]
        slope = torch.einsum("ij,jnd->ind", derivative, here)
        z, v = here[1:-1].flatten(0, 1), slope[1:-1].flatten(0, 1)
        # How the acceleration answers to the position and to the velocity, one direction after the other.
        columns = [
            jvp(metric.accelerate, (z, v), (axis[:dim].expand_as(z), axis[dim:].expand_as(z)))[1] for axis in axes
        ]
        answer = torch.stack(columns, -1).reshape(count - 2, len(active), dim, 2 * dim)
        by_place, by_speed = answer.split(dim, -1)
        inner = slice(1, -1)
        eye = torch.eye(dim, dtype=curves.dtype)
        matrix = torch.einsum("ij,de->idje", twice[inner, inner], eye).expand(len(active), -1, -1, -1, -1)
        matrix = matrix - torch.einsum("inde,ij->nidje", by_speed, derivative[inner, inner])
        place = torch.einsum("inde,ij->nidje", by_place, torch.eye(count - 2, dtype=curves.dtype))
        size = (count - 2) * dim
        matrix = (matrix - place).reshape(len(active), size, size)
        right = value[:, active].permute(1, 0, 2).reshape(len(active), size, 1)
        step = torch.linalg.solve_ex(matrix, right)[0].reshape(len(active), count - 2, dim).permute(1, 0, 2)
        size_of = value[:, active].square().sum((0, 2))
        share = torch.ones(len(active), dtype=curves.dtype)
        better = torch.zeros(len(active), dtype=torch.bool)
        for _ in range(12):
            rest = (~better).nonzero().flatten()
            trial = here[:, rest].clone()
            trial[inner] -= share[rest, None] * step[:, rest]
            new = _defect(metric, trial, derivative)
            ok = new.square().sum((0, 2)) < size_of[rest]
            curves[:, active[rest[ok]]], value[:, active[rest[ok]]] = trial[:, ok], new[:, ok]
            better[rest[ok]] = True
            if bool(better.all()):
                break
            share[rest] /= 2
        speed = torch.einsum("ij,jnd->ind", derivative, here).abs().amax((0, 2))
        done = value[:, active].abs().amax((0, 2)) <= 1e-7 * speed
        active = active[better & ~done]
        if not len(active):
            break
    return curves


def _residual(metric: Metric, curves: Tensor, time: np.ndarray, derivative: Tensor) -> Tensor:
    """Largest residual (n,) between the nodes, over length squared, as the metric measures both."""
    at = (time[1:] + time[:-1]) / 2
    values, slopes = (matrix.to(curves) for matrix in _between(time, at, derivative))
    z, v = (torch.einsum("tm,mnd->tnd", matrix, curves).flatten(0, 1) for matrix in (values, slopes))
    bend = torch.einsum("tm,mnd->tnd", slopes @ derivative.to(curves), curves).flatten(0, 1)
    left = metric.norm(z, bend - metric.accelerate(z, v)).reshape(len(at), -1)
    speed = metric.norm(z, v).reshape(len(at), -1)
    worst = left.amax(0) / speed.square().mean(0).clamp_min(1e-300)
    return worst.nan_to_num(torch.inf).where(speed.amax(0) > 1e-12, torch.zeros_like(worst))
