"""Training in pictures: any quantity against the step, with the values that theory names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from hollow.figures.style import PALETTE, WIDTH

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))  # a second cue besides colour


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    levels: Mapping[str, float] | None = None,
    xlabel: str = "training step",
    ylabel: str = "",
    title: str = "",
    marker: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw one line for each of `series`, told apart by colour and dashes.

    Parameters
    ----------
    series : mapping
        Abscissas and ordinates by the name in the legend.
    levels : mapping, optional, keyword-only
        Values that theory names, as thin grey lines with their name at the right end.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH, 3.0))
    for i, (name, (x, y)) in enumerate(series.items()):
        colour, dashes = PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]
        ax.plot(x, y, color=colour, linestyle=dashes, marker=marker, markersize=4, label=name)
    for name, level in (levels or {}).items():
        ax.axhline(level, color="0.6", linewidth=1, zorder=0)
        ax.annotate(name, (1, level), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
                    ha="right", va="bottom", fontsize=8, color="0.35")  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax
