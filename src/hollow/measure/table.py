"""The recorded table of chapter 12: measured quality, with the hashes of the networks that it was measured on."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

from hollow.files import atomic
from hollow.measure.points import Point

T = 2.262  # of a 95 % interval: Student's t with 9 degrees of freedom, for errors come from 10 subsets
_COLUMNS = ("model", "kind", "law", "at", "metric", "n", "value", "error", "small", "small_error")
_POINT = [f.name for f in fields(Point)]


@dataclass(frozen=True)
class Measured:
    """One metric at one point.

    Attributes
    ----------
    n : int
        Number of images.
    value, error : float
        The estimate from all of them, and its standard error.
    small, small_error : float
        Mean and standard deviation of the estimate from `hollow.measure.SMALL` images, which may be biased:
        what a quicker run should find.
    """

    n: int
    value: float
    error: float
    small: float
    small_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the value, over new latents; the reference images are fixed."""
        return self.value - T * self.error, self.value + T * self.error

    def surprise(self, small: float) -> float:
        """Return by how many standard deviations a new estimate from `hollow.measure.SMALL` images is off."""
        error = self.small_error + 1e-9 + 1e-4 * abs(self.small)  # the file keeps five digits
        return abs(small - self.small) / error


@dataclass
class Table:
    """Measured points, and the SHA-256 (12 digits) of each network that they were measured with."""

    points: dict[Point, dict[str, Measured]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    made_by: str = ""
    commit: str = ""

    def __getitem__(self, at: tuple[Point, str]) -> Measured:
        """Return one metric at one point; a ValueError names the command that measures it."""
        point, metric = at
        try:
            return self.points[point][metric]
        except KeyError:
            raise ValueError(f"{metric} at {point} is not recorded; measure it with: hollow measure") from None

    def stale(self, current: Mapping[str, str]) -> list[str]:
        """Return the networks whose weights are no longer those that were measured."""
        return sorted(name for name, digest in self.hashes.items() if current.get(name) != digest)


def read(path: str | Path) -> Table:
    """Read the table that `write` wrote; a ValueError names the command that makes one."""
    table = Table()
    remake = f"make it again with: hollow measure --out {path}"
    try:
        first, _, rest = Path(path).read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise ValueError(f"there is no table {path}; make it with: hollow measure --out {path}") from None
    if first != _seal(rest):
        raise ValueError(f"{path} is no whole table of measured points: its first line is not its hash; {remake}")
    lines = rest.decode().splitlines()
    for line in lines:
        words = line.split()
        if line.startswith("# network "):
            table.hashes[words[2]] = words[3]
        elif line.startswith("# made by: "):
            table.made_by = line.removeprefix("# made by: ")
        elif line.startswith("# commit: "):
            table.commit = line.removeprefix("# commit: ")
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    if tuple(next(rows, ())) != _COLUMNS:
        raise ValueError(f"{path} has other columns than {', '.join(_COLUMNS)}; {remake}")
    for model, kind, law, at, metric, n, *numbers in rows:
        value, error, small, small_error = map(float, numbers)
        measured = Measured(int(n), value, error, small, small_error)
        table.points.setdefault(Point(model, kind, law, float(at)), {})[metric] = measured
    return table


def _seal(rest: bytes) -> bytes:
    """Return the first line of a table: the hash of the others."""
    return b"# sha256 " + hashlib.sha256(rest).hexdigest().encode()


def write(table: Table, path: str | Path) -> None:
    """Write the table as CSV below comment lines that begin with #, the first of them the hash of all that follows."""
    comments = [
        "Quality of decoded latents; chapter 12 of The Hollow Latent Space; columns: hollow.measure.Measured",
        f"made by: {table.made_by}",
        f"commit: {table.commit}",
        *(f"network {name} {digest}" for name, digest in sorted(table.hashes.items())),
    ]
    text = io.StringIO(newline="")
    text.writelines(f"# {line}\n" for line in comments)
    out = csv.writer(text, lineterminator="\n")
    out.writerow(_COLUMNS)
    for point, metrics in table.points.items():
        for metric, measured in metrics.items():
            place = [f"{x:g}" if isinstance(x, float) else x for x in astuple(point)]
            n, *numbers = astuple(measured)
            out.writerow([*place, metric, n, *(f"{x:.5g}" for x in numbers)])
    whole = text.getvalue().encode()
    with atomic(path) as part:
        part.write_bytes(_seal(whole) + b"\n" + whole)
