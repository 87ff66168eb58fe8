"""Pictures of laws: an exact density over its simulation, norms along a path, curves with measured points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from hollow.figures.style import BLACK, BLUE, COLOURS, GREEN, PALETTE, RED, WIDTH
from hollow.laws import Law
from hollow.norms import Chi
from hollow.priors import Prior


def density(
    law: Law,
    values: ArrayLike | None = None,
    *,
    label: str = "",
    colour: str = BLUE,
    log: bool = False,
    bins: int = 50,
    tail: float = 2e-3,
    ax: Axes | None = None,
) -> Axes:
    """Draw the exact density of `law` as a line, over the histogram of the simulated `values`.

    Parameters
    ----------
    law : Law
        Anything with `logpdf` and quantiles.
    values : array_like, optional
        Simulated values of any shape.
    log : bool, keyword-only
        Logarithmic axis, and densities per decade; for laws on the positive numbers.
    tail : float, keyword-only
        Probability that is left out at each end.
    """
    ax = ax or plt.subplots()[1]
    low, high = float(law.ppf(tail)), float(law.isf(tail))
    if law.support[0] == 0 and not log and low < 0.1 * high:
        low = 1e-9 * high  # the density may be infinite at 0 itself
    x = np.geomspace(low, high, 400) if log else np.linspace(low, high, 400)
    unit = np.log(10) * x if log else 1.0
    ax.plot(x, unit * np.exp(law.logpdf(x)), color=colour, label=label)
    if values is not None:
        values = np.ravel(np.asarray(values))
        edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
        widths = np.diff(np.log10(edges) if log else edges)
        heights = np.histogram(values, edges)[0] / (len(values) * widths)
        ax.stairs(heights, edges, fill=True, color=colour, alpha=0.25, linewidth=0)
    if log:
        ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    return ax


def norms_by_dimension(
    norms: Mapping[str, Mapping[int, tuple[Law, ArrayLike]]], *, log: Sequence[str] = ("cauchy",)
) -> list[Axes]:
    """Draw norm densities, a panel for each prior and a shade for each dimension: Figure 1 of the paper.

    `norms` maps the name of a prior and a dimension D to the exact law of the norm and its simulated values; the
    panels named in `log` have a logarithmic axis.
    """
    rows = -(-len(norms) // 2)
    axes = list(plt.subplots(rows, 2, figsize=(WIDTH, 2.4 * rows), squeeze=False)[1].flat)
    for ax, (name, by_dim) in zip(axes, norms.items(), strict=False):
        shades = sns.light_palette(COLOURS.get(name, BLACK), len(by_dim) + 2)[2:]
        for colour, (dim, (law, values)) in zip(shades, by_dim.items(), strict=True):
            density(law, values, label=f"D = {dim}", colour=colour, log=name in log, ax=ax)
        per = "density per decade" if name in log else "density"
        ax.set(title=name, xlabel="norm of z", ylabel=per)
        ax.legend()
    for ax in axes[len(norms) :]:
        ax.remove()
    return axes[: len(norms)]


def balance(dim: int, *, ax: Axes | None = None) -> Axes:
    """Draw how the density of N(0, I) falls with the radius, the area of the sphere grows, and their product peaks.

    Each curve is scaled to a largest value of 1 in the picture.
    """
    ax = ax or plt.subplots(figsize=(WIDTH, 2.8))[1]
    r = np.linspace(1e-3, float(Chi(dim).isf(1e-4)) + 1, 400)
    logs = {
        "density at a point of this radius": (-0.5 * r**2, GREEN, "--"),
        "area of the sphere of this radius": ((dim - 1) * np.log(r), RED, ":"),
        "their product, the density of the norm": (Chi(dim).logpdf(r), BLUE, "-"),
    }
    for label, (value, colour, style) in logs.items():
        ax.plot(r, np.exp(value - value.max()), style, color=colour, label=label)
    ax.set(xlabel="radius r", ylabel="share of its largest value", ylim=(0, None))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=3, fontsize=8)
    return ax


def against(
    x: ArrayLike,
    exact: Mapping[str, ArrayLike],
    measured: Mapping[str, ArrayLike] | None = None,
    *,
    at: ArrayLike | None = None,
    marker: str = "",
    colours: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw exact curves over `x` as lines, with a `marker` at each x if given, and measured values as points.

    Points take the colour of the line of the same name, and stand at `at`, by default at `x` too.
    """
    ax = ax or plt.subplots()[1]
    chosen = dict(zip([*exact, *(set(measured or {}) - set(exact))], PALETTE, strict=False)) | dict(colours or {})
    for name, values in exact.items():
        ax.plot(x, values, marker=marker, markersize=4, color=chosen[name], label=name)
    for name, values in (measured or {}).items():
        label = f"{name}, simulated" if name in exact else name
        ax.plot(x if at is None else at, values, "o", color=chosen[name], markersize=4, alpha=0.8, label=label)
    ax.legend()
    return ax


def along(
    lam: ArrayLike,
    values: ArrayLike,
    band: tuple[ArrayLike, ArrayLike],
    typical: tuple[float, float],
    *,
    colour: str = BLUE,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity such as the norm along several paths over the band of exact quantiles that holds it.

    Parameters
    ----------
    lam : array_like
        Positions, shape (T,).
    values : array_like
        The quantity along n paths, shape (T, n).
    band : pair of array_like
        Lower and upper quantile at each position, each of shape (T,).
    typical : pair of float
        The same two quantiles under the prior.
    """
    ax = ax or plt.subplots()[1]
    ax.axhspan(*typical, color=BLACK, alpha=0.12, linewidth=0, label="the prior")
    ax.fill_between(lam, *band, color=colour, alpha=0.25, linewidth=0, label="points of paths")
    ax.plot(lam, values, color=colour, linewidth=0.7, alpha=0.8)
    ax.set(xlabel=r"position $\lambda$ on the path", ylabel="norm", xlim=(0, 1))
    ax.legend(loc="lower left")
    return ax


def clouds(drawn: Mapping[str, tuple[Prior, ArrayLike]], *, limit: float, levels: int = 6) -> list[Axes]:
    """Draw points of two-dimensional priors over the level lines of their exact densities.

    `drawn` maps a title to a prior with a density and its points, shape (n, 2); points outside [-limit, limit]^2 are
    not drawn, and the lines of all panels are at the same densities.
    """
    _, axes = plt.subplots(1, len(drawn), figsize=(WIDTH, WIDTH / len(drawn) + 0.3), sharey=True, squeeze=False)
    side = np.linspace(-limit, limit, 241)
    grid = torch.as_tensor(np.stack(np.meshgrid(side, side), -1))
    heights = {title: prior.log_prob(grid).numpy() / np.log(10) for title, (prior, _) in drawn.items()}
    top = min(height.max() for height in heights.values())
    low = max(height.min() for height in heights.values())
    for ax, (title, (_, points)) in zip(axes[0], drawn.items(), strict=True):
        points = np.asarray(points)
        inside = np.abs(points).max(1) < limit
        ax.plot(*points[inside].T, ".", color=COLOURS.get(title, BLUE), markersize=2, alpha=0.35)
        ax.contour(side, side, heights[title], np.linspace(low, top, levels + 2)[1:-1], colors="black", linewidths=0.8,
                   linestyles="solid")  # fmt: skip
        ax.set(title=title, xlabel="first coordinate", aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))
    axes[0, 0].set_ylabel("second coordinate")
    return list(axes[0])
