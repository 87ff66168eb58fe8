"""Pictures of laws: an exact density over its simulation, and curves with measured points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from hollow.figures.style import BLACK, BLUE, COLOURS, GREEN, PALETTE, RED, WIDTH
from hollow.laws import Law
from hollow.norms import Chi


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
        ax.set(xlabel="norm of z", ylabel=per)
        ax.set_title(name, pad=18)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 0.97), ncols=len(by_dim), fontsize=8, handlelength=1,
                  columnspacing=0.8)  # fmt: skip
    for ax in axes[len(norms) :]:
        ax.remove()
    return axes[: len(norms)]


def balance(dims: Sequence[int]) -> list[Axes]:
    """Draw how the density of N(0, I) falls with the radius, the area of the sphere grows, and their product peaks.

    One panel for each dimension; each curve is scaled to a largest value of 1 in the picture.
    """
    figure, grid = plt.subplots(1, len(dims), figsize=(WIDTH, 2.8), sharey=True, squeeze=False)
    for ax, dim in zip(grid[0], dims, strict=True):
        r = np.linspace(1e-3, 1.02 * float(Chi(dim).isf(1e-5)), 400)
        logs = {
            "density at one point": (-0.5 * r**2, GREEN, "--"),
            "area of the sphere": ((dim - 1) * np.log(r), RED, ":"),
            "product: density of the norm": (Chi(dim).logpdf(r), BLUE, "-"),
        }
        for label, (value, colour, style) in logs.items():
            ax.plot(r, np.exp(value - value.max()), style, color=colour, label=label)
        ax.set(title=f"D = {dim}", xlabel="radius r", ylim=(0, 1.05))
    grid[0, 0].set_ylabel("share of largest value")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return list(grid[0])


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

    Points take the colour of the line of the same name and stand at `at`, by default at `x` too.
    """
    ax = ax or plt.subplots()[1]
    chosen = dict(zip(exact, PALETTE, strict=False)) | dict(colours or {})
    for name, values in exact.items():
        ax.plot(x, values, marker=marker, markersize=4, color=chosen[name], label=name)
    for name, values in (measured or {}).items():
        ax.plot(x if at is None else at, values, "o", color=chosen[name], markersize=4)
    if measured:
        ax.plot([], [], "o", color="grey", markersize=4, label="simulated")
    ax.legend()
    return ax
