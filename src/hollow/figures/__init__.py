"""Figures as functions from data to Axes, in one style."""

from hollow.figures.grids import gallery, mosaic, strips
from hollow.figures.style import COLOURS, PALETTE, WIDTH, use
from hollow.figures.training import curves

__all__ = ["COLOURS", "PALETTE", "WIDTH", "curves", "gallery", "mosaic", "strips", "use"]
