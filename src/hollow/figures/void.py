"""The inside of the shell in pictures: how far in paths go, and quantities against the radius, over training."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from hollow.figures.style import BLACK, BLUE, RED
from hollow.figures.training import curves

MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # a second cue besides the shade


def valleys(
    lam: ArrayLike, norms: Mapping[str, ArrayLike], typical: tuple[float, float], *, ax: Axes | None = None
) -> Axes:
    """Draw the norm along two families of paths over the band of the prior's own norms.

    Parameters
    ----------
    lam : array_like
        Positions, shape (T,).
    norms : mapping
        Norms along n paths, shape (T, n), by the family's name in the legend.
    typical : pair of float
        Two quantiles of the norm under the prior.
    """
    ax = ax or plt.subplots()[1]
    ax.axhspan(*typical, color=BLACK, alpha=0.12, linewidth=0, label="the prior")
    for (name, values), colour, dashes in zip(norms.items(), (BLUE, RED), ("-", "--"), strict=True):
        lines = ax.plot(lam, values, dashes, color=colour, linewidth=0.9, alpha=0.8)
        lines[0].set_label(name)
    ax.set(xlabel=r"position $\lambda$ on the path", ylabel="norm", xlim=(0, 1), ylim=(0, None))
    ax.legend(loc="lower left")
    return ax


def by_step(
    x: ArrayLike,
    values: Mapping[int, ArrayLike],
    *,
    levels: Mapping[str, float] | None = None,
    xlabel: str = "radius s",
    ylabel: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a curve over `x` for each training step, the later the darker; `levels` are those of `curves`."""
    ax = curves({}, levels=levels, xlabel=xlabel, ylabel=ylabel, ax=ax)
    shades = [*sns.light_palette(BLUE, len(values) + 2)[2:-1], sns.dark_palette(BLUE, 4)[1]]
    for (step, y), colour, marker in zip(sorted(values.items()), shades, MARKERS, strict=False):
        ax.plot(x, y, color=colour, marker=marker, markersize=3.5, linewidth=1.5, label=f"step {step:,}")
    return ax
