"""Quality as a function of where latents come from, recorded for chapter 12."""

from hollow.measure.points import ALONG, FINE, LAMS, MIDPOINTS, RADII, REPEATED, SCALES, Point, grid
from hollow.measure.run import (
    SMALL,
    SUBSETS,
    N,
    compare,
    evaluate,
    hashes,
    load,
    look,
    measure,
    note,
    quick,
    real,
    record,
)  # fmt: skip
from hollow.measure.table import Measured, Table, read, write

__all__ = [
    "ALONG",
    "FINE",
    "LAMS",
    "MIDPOINTS",
    "RADII",
    "REPEATED",
    "SCALES",
    "SMALL",
    "SUBSETS",
    "Measured",
    "N",
    "Point",
    "Table",
    "compare",
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
