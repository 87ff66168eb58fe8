"""Figures as functions from data to Axes, in one style."""

from hollow.figures.grids import gallery, mosaic, strips
from hollow.figures.laws import against, along, balance, clouds, density, norms_by_dimension
from hollow.figures.style import COLOURS, PALETTE, WIDTH, use
from hollow.figures.training import curves

__all__ = [
    "COLOURS", "PALETTE", "WIDTH", "against", "along", "balance", "clouds", "curves", "density", "gallery", "mosaic",
    "norms_by_dimension", "strips", "use",
]  # fmt: skip
