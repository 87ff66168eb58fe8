"""Pictures of paths: in the plane, by their norms, midpoints, p-values and speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor

from hollow.figures.style import BLACK, PALETTE, RED, WIDTH
from hollow.priors import Prior


def plane(
    curves: Tensor,
    prior: Prior | None = None,
    draws: Tensor | None = None,
    *,
    reach: float = 3.2,
    colours: Sequence[str] = PALETTE,
    labels: Sequence[str] = (),
    width: float = 1.6,
    ends: bool = True,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw paths in the plane, over the exact density of the prior and some of its draws.

    Parameters
    ----------
    curves : Tensor
        The points of n paths, shape (T, n, 2).
    prior : Prior, optional
        A two-dimensional prior with a density; it is shaded, dark where the density is high.
    draws : Tensor, optional
        Points of the prior, shape (m, 2).
    reach : float, keyword-only
        The picture shows [-reach, reach]^2.
    colours, labels : sequence of str, keyword-only
        One a path; colours are used in turn.
    ends : bool, keyword-only
        Whether the ends of the paths are marked.
    """
    ax = ax or plt.subplots(figsize=(WIDTH / 2, WIDTH / 2))[1]
    if prior is not None:
        side = torch.linspace(-reach, reach, 301, dtype=torch.float64)
        log_density = prior.log_prob(torch.cartesian_prod(side, side)).reshape(301, 301).T
        shade = (0.4 * (log_density - log_density.max())).exp().numpy()  # the power lets tails be seen
        extent = (-reach, reach, -reach, reach)
        ax.imshow(shade, extent=extent, origin="lower", cmap="Greys", vmin=0, vmax=3.5, interpolation="bilinear")
    if draws is not None:
        ax.plot(*np.asarray(draws).T, ".", color="grey", markersize=1.5, alpha=0.5, zorder=1)
    for k, curve in enumerate(np.asarray(curves).transpose(1, 2, 0)):
        colour = colours[k % len(colours)]
        ax.plot(*curve, color=colour, linewidth=width, label=labels[k] if labels else None, zorder=2)
        if ends:
            ax.plot(*curve[:, [0, -1]], "o", color=colour, markeredgecolor="white", markersize=5.5, zorder=3)
    ax.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="first coordinate", ylabel="second coordinate")
    return ax


def norms_along(
    lam: ArrayLike,
    norms: ArrayLike,
    typical: tuple[float, float],
    *,
    tail: float = 0.05,
    lines: int = 15,
    colour: str = PALETTE[0],
    ax: Axes | None = None,
) -> Axes:
    """Draw the norm along many paths as a band, and along some as lines, over the band of the prior's own norm.

    Parameters
    ----------
    lam : array_like
        Positions, shape (T,).
    norms : array_like
        Norms of the points of n paths, shape (T, n).
    typical : pair of float
        The quantiles `tail` and 1 - `tail` of the norm under the prior.
    lines : int, keyword-only
        How many single paths are drawn.
    """
    ax = ax or plt.subplots()[1]
    norms = np.asarray(norms)
    band = np.quantile(norms, [tail, 1 - tail], axis=1)
    ax.axhspan(*typical, color=BLACK, alpha=0.12, linewidth=0, label="the prior")
    ax.fill_between(lam, *band, color=colour, alpha=0.3, linewidth=0, label="points of paths")
    ax.plot(lam, norms[:, :lines], color=colour, linewidth=0.7, alpha=0.8)
    ax.set(xlabel=r"position $\lambda$ on the path", ylabel="norm", xlim=(0, 1))
    ax.legend(loc="lower left")
    return ax


def midpoint_lines(
    side: ArrayLike, values: ArrayLike, *, colour: str = RED, label: str = "", levels: ArrayLike, ax: Axes | None = None
) -> Axes:
    """Draw the middle of a path as a function of one coordinate of its two ends, by level lines.

    Parameters
    ----------
    side : array_like
        Values of the coordinate, shape (m,), for either end.
    values : array_like
        That coordinate of the middle, shape (m, m); rows belong to the second end.
    levels : array_like, keyword-only
        The values whose lines are drawn.
    """
    ax = ax or plt.subplots(figsize=(WIDTH / 2, WIDTH / 2))[1]
    lines = ax.contour(side, side, values, levels=levels, colors=colour, linewidths=1.3, linestyles="solid")
    ax.clabel(lines, fontsize=7, fmt="%g")
    ax.plot([], [], color=colour, label=label)
    ax.set(xlabel="coordinate of the first end", ylabel="coordinate of the second end", aspect="equal")
    return ax


def p_values(
    values: Mapping[str, float], *, level: float, floor: float = 1e-12, ax: Axes | None = None
) -> Axes:
    """Draw p-values by name on a logarithmic axis, full where they pass `level`, open where they do not.

    Values under `floor` stand at it, as triangles.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 0.32 * len(values) + 0.8))[1]
    for row, p in enumerate(values.values()):
        passed, beyond = p >= level, p < floor
        colour = PALETTE[0] if passed else RED
        style: dict[str, Any] = {"color": colour, "markerfacecolor": colour if passed else "white", "markersize": 8}
        ax.plot(max(p, floor), row, "<" if beyond else "o", **style)
    ax.axvline(level, color=BLACK, linestyle="--", linewidth=1)
    ax.set(xscale="log", xlim=(floor / 3, 3), ylim=(len(values) - 0.5, -0.5), xlabel="combined p-value of property 4")
    ax.set_yticks(range(len(values)), list(values))
    ax.grid(axis="y", alpha=0.3)
    return ax


def speeds(
    lam: ArrayLike, points: Mapping[str, Tensor], *, colours: Mapping[str, str], ax: Axes | None = None
) -> Axes:
    """Draw the speed of single paths, relative to their mean, against the position; the axis is logarithmic.

    `points` maps the name of a path to its points at even steps of lam, shape (T, D).
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 2.8))[1]
    lam = np.asarray(lam)
    for name, path in points.items():
        step = np.linalg.norm(np.diff(np.asarray(path), axis=0), axis=-1)
        ax.plot((lam[1:] + lam[:-1]) / 2, step / step.mean(), color=colours[name], label=name, linewidth=1.3)
    ax.set(yscale="log", xlim=(0, 1), xlabel=r"position $\lambda$ on the path", ylabel="speed over mean speed")
    return ax
