"""Figures as functions from data to Axes, in one style."""

from hollow.figures.grids import gallery, stack, strips
from hollow.figures.laws import against, balance, density, norms_by_dimension
from hollow.figures.paths import midpoint_lines, norms_along, p_values, plane, speeds
from hollow.figures.style import COLOURS, PALETTE, WIDTH, figure_of, use
from hollow.figures.training import curves
from hollow.figures.void import by_step, valleys

__all__ = [
    "COLOURS", "PALETTE", "WIDTH", "against", "balance", "by_step", "curves", "density", "figure_of", "gallery",
    "midpoint_lines", "norms_along", "norms_by_dimension", "p_values", "plane", "speeds", "stack", "strips", "use",
    "valleys",
]  # fmt: skip
