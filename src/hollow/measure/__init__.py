"""Quality as a function of where latents come from, recorded for chapter 12."""

from hollow.measure.points import ALONG, LAMS, RADII, SCALES, Point, grid
from hollow.measure.run import SMALL, SUBSETS, N, evaluate, hashes, load, look, measure, note, quick, real, record
from hollow.measure.table import Measured, Table, read, write

__all__ = [
    "ALONG",
    "LAMS",
    "RADII",
    "SCALES",
    "SMALL",
    "SUBSETS",
    "Measured",
    "N",
    "Point",
    "Table",
    "evaluate",
    "grid",
    "hashes",
    "load",
    "look",
    "measure",
    "note",
    "quick",
    "read",
    "real",
    "record",
    "write",
]
