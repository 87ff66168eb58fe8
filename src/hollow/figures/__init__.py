"""Figures as functions from data to Axes, in one style."""

from hollow.figures.grids import gallery, mosaic, strips
from hollow.figures.style import COLOURS, PALETTE, WIDTH, use

__all__ = ["COLOURS", "PALETTE", "WIDTH", "gallery", "mosaic", "strips", "use"]
