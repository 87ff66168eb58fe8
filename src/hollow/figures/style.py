"""One style for every figure: colour-blind safe, legible on a light and on a dark page."""

from __future__ import annotations

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.2  # inches; the text column of the book

# Okabe and Ito's colours: told apart with every common form of colour blindness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK)

COLOURS = {
    "normal": BLUE,
    "uniform": GREEN,
    "cauchy": RED,
    "kilcher": PURPLE,
    "linear": BLACK,
    "spherical": ORANGE,
    "normalized": SKY,
    "cauchy-linear": RED,
    "spherical-cauchy-linear": PURPLE,
    "gaussian-copula": GREEN,
}


def figure_of(ax: Axes) -> Figure:
    """Return the whole figure that holds `ax`."""
    figure = ax.figure
    return figure if isinstance(figure, Figure) else figure.figure


def use() -> None:
    """Set the book's style for all figures that follow; backgrounds stay white in both themes."""
    sns.set_theme(context="notebook", style="ticks", palette=PALETTE)
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.2),
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "figure.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "figure.constrained_layout.use": True,
            "svg.fonttype": "none",
        }
    )
