"""The matrix of chapter 6: each prior with each path, properties 1-4 measured and compared with theory. ::

    python -m hollow.matrix book/assets/matrix.csv

makes the recorded table anew. `expected` is what theory says of a cell, `measure` what a run finds there, and
`contradictions` lists where the two differ.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from hollow import interpolations, priors
from hollow.files import atomic
from hollow.machine import SOURCE, commit
from hollow.properties import LEVEL, check, detour, peak_speed
from hollow.two_sample import LawTest, combined, law_test

DIM = 100
LAMS = (0.1, 0.3, 0.5)
TESTS = 5 * len(LAMS)  # of property 4, which Bonferroni divides the level by

# Kinds of priors, by what the proofs ask for. A coordinate that is always 0 stays so on every path.
GAUSSIAN = ("normal", "scaled(normal, scale=2)", "half(normal, K=50)", "orthogonal(normal, K=50)")
CAUCHY = ("cauchy", "half(cauchy, K=50)")
PRODUCT = (*GAUSSIAN, *CAUCHY, "uniform", "stable(alpha=1.5)")  # independent coordinates with a density
ISOTROPIC = (*GAUSSIAN, "cauchy-isotropic", "student-t(nu=3)", "kilcher")  # with a density of the norm
ATOMS = ("discrete", "sparse(normal, K=50)")
LEVEL_NORMS = ("sphere", "discrete")
PRIORS = (
    *GAUSSIAN, "uniform", *CAUCHY, "stable(alpha=1.5)", "cauchy-isotropic", "student-t(nu=3)", "kilcher", "sphere",
    "discrete", "sparse(normal, K=50)",
)  # fmt: skip
COORDINATEWISE = ("cauchy-linear", "gaussian-copula", "stable", "transport-matched")

# Laws that a path breaks by less than the recorded samples can show; chapter 6 finds them by quadrature.
FAINT = {("student-t(nu=3)", "cauchy-linear")}


@dataclass(frozen=True)
class Cell:
    """What theory expects of one prior with one path, and what a run found; the fields are the columns of the table.

    `expected` and `found` are four letters, y or n, for properties 1-4, empty where the path does not exist. Residuals
    of properties 1-3 are relative (see `hollow.properties.check`). `ks` is the largest Kolmogorov-Smirnov distance of
    any test of property 4, `energy` the largest energy distance, `energy_p` the least p-value of its permutation test.
    `n` is the size of the samples. `detour`, `peak` and `winner` are medians over `pairs`: length over chord, largest
    over mean speed, and the cosine between the middle and the vector that takes the larger coordinate in each place.
    """

    prior: str
    path: str
    expected: str
    why: str
    found: str = ""
    note: str = ""
    continuous: float | None = None
    straight: float | None = None
    sub_paths: float | None = None
    p: float | None = None
    ks: float | None = None
    ks_of: str = ""
    energy: float | None = None
    energy_p: float | None = None
    n: int | None = None
    pairs: int | None = None
    detour: float | None = None
    peak: float | None = None
    winner: float | None = None


def expected(prior: str, path: str) -> tuple[str, str]:
    """Return what theory says of a cell: four letters y or n, empty where the path does not exist, and why."""
    if missing := _missing(prior, path):
        return "", missing
    if path == "linear" or (path in ("cauchy-linear", "transport-matched") and prior in (*CAUCHY, "cauchy-isotropic")):
        kept = prior in (*CAUCHY, "cauchy-isotropic")
        why = "strictly 1-stable" if kept else "not strictly 1-stable"
        return f"yyy{'y' if kept else 'n'}", why if path == "linear" else f"{why}; here the path is the straight line"
    consistent = path in ("cauchy-linear", "spherical-cauchy-linear")
    if path == "spherical":
        consistent = prior in LEVEL_NORMS
        kept, why = prior == "sphere", "uniform on a sphere" if prior == "sphere" else "not uniform on a sphere"
    elif path == "normalized":
        kept, why = prior in GAUSSIAN, "centred Gaussian" if prior in GAUSSIAN else "not Gaussian"
    elif path == "spherical-cauchy-linear":
        kept, why = True, "isotropic, and the norm has a density"
    else:
        kept = prior in PRODUCT
        why = "independent coordinates" if kept else "dependent coordinates: only their own laws are kept"
    return f"yn{'y' if consistent else 'n'}{'y' if kept else 'n'}", why


def _missing(prior: str, path: str) -> str:
    if path in COORDINATEWISE and prior in ATOMS:
        return "a coordinate has atoms: no homeomorphism to a stable law"
    if path == "transport-matched" and prior in ("student-t(nu=3)", "kilcher", "sphere"):
        return "the law of linear points has no closed form that the package knows"
    if path == "spherical-cauchy-linear" and prior not in ISOTROPIC:
        return "the norm is an atom" if prior == "sphere" else "not isotropic: turning the directions changes the law"
    return ""


def measure(
    prior: str,
    path: str,
    *,
    n: int = 1000,
    pairs: int = 16,
    permutations: int = 500,
    curves: bool = True,
    generator: torch.Generator | None = None,
) -> Cell:
    """Measure one cell at D = 100: property 4 on `n` draws; properties 1-3 and the course of paths where `curves`.

    The course is that of paths between `pairs` of draws at 257 positions. Letters that are not measured are dots.
    """
    cell = Cell(prior, path, *expected(prior, path))
    law = priors.get(prior, DIM)
    try:
        curve = interpolations.get(path, law)
    except ValueError as error:
        return replace(cell, note=str(error))
    if not curves:
        z0, z1, fresh = law.sample((3, n), generator).double()
        points = zip(LAMS, curve(z0, z1, LAMS), strict=True)
        tests = [(lam, t) for lam, x in points for t in law_test(x, fresh, generator, permutations=permutations)]
        return replace(cell, **_effects(tests, n), found=f"...{_letter(combined([t for _, t in tests]) >= LEVEL)}")
    report = check(law, curve, generator=generator, n=n, lams=LAMS, permutations=permutations)
    z0, z1 = law.sample((2, pairs), generator).double()
    way = curve(z0, z1, torch.linspace(0, 1, 257, dtype=torch.float64))
    larger = torch.where(z0.abs() > z1.abs(), z0, z1)
    return replace(
        cell,
        **_effects([(t.lam or 0.0, t) for t in report[4].tests], n),
        found="".join(map(_letter, report.holds)),
        note="; ".join(report[k].detail for k in (1, 2) if report[k].detail),
        continuous=report[1].value,
        straight=report[2].value,
        sub_paths=report[3].value,
        pairs=pairs,
        detour=float(detour(way).median()),
        peak=float(peak_speed(way).median()),
        winner=float(torch.cosine_similarity(way[128], larger, dim=-1).median()),
    )


def _letter(holds: bool) -> str:
    return "y" if holds else "n"


def _effects(tests: Sequence[tuple[float, LawTest]], n: int) -> dict[str, Any]:
    lam, worst = max(((lam, t) for lam, t in tests if t.name != "energy"), key=lambda pair: pair[1].effect)
    energies = [t for _, t in tests if t.name == "energy"]
    return {
        "p": combined([t for _, t in tests]),
        "ks": worst.effect,
        "ks_of": f"{worst.name} at lam = {lam:g}",
        "energy": max(t.effect for t in energies),
        "energy_p": min(t.p_value for t in energies),
        "n": n,
    }


def critical(n: int) -> float:
    """Return the Kolmogorov-Smirnov distance between samples of size `n` from which on property 4 fails."""
    return float(stats.kstwo.isf(LEVEL / TESTS, max(1, round(n / 2))))


def resolved(cell: Cell, n: int) -> bool:
    """Whether samples of size `n` are sure to show the distance of a cell, up to about three standard errors."""
    return (cell.ks or 0.0) > critical(n) + 2 / n**0.5


def contradictions(cells: Iterable[Cell], recorded: Sequence[Cell] = ()) -> list[str]:
    """Return a line for each cell that was found otherwise than theory says.

    A law that a path breaks must be rejected, unless the cell is `FAINT` or the distance that was `recorded` for it is
    not `resolved` at this size.
    """
    known = {(cell.prior, cell.path): cell for cell in recorded}
    lines = []
    for cell in cells:
        at = (cell.prior, cell.path)
        faint = at in FAINT or (at in known and not resolved(known[at], cell.n or 1))
        found = "".join(e if f == "." else f for e, f in zip(cell.expected, cell.found, strict=False)) or cell.found
        if found != cell.expected and not (faint and found == cell.expected[:3] + "y"):
            said = f"expected {cell.expected or 'no path'} ({cell.why}), found {cell.found or 'no path'}"
            lines.append(f"{cell.path} on {cell.prior}: {said}, p = {cell.p}, KS distance {cell.ks}")
    return lines


def write(cells: Iterable[Cell], path: str | Path, comments: Sequence[str] = ()) -> None:
    """Write cells as a CSV file with a header, below comment lines that begin with #."""
    with atomic(Path(path)) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"# {line}\n" for line in comments)
        table = csv.DictWriter(file, [field.name for field in fields(Cell)], lineterminator="\n")
        table.writeheader()
        for cell in cells:
            table.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(cell).items()})


def read(path: str | Path) -> list[Cell]:
    """Read the cells that `write` wrote; a ValueError names the file if it is no such table."""
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    kinds = {field.name: field.type for field in fields(Cell)}
    table = csv.DictReader(lines)
    if list(table.fieldnames or ()) != list(kinds):
        raise ValueError(f"{path} is no table of priors and paths; make one with: python -m hollow.matrix {path}")
    return [Cell(**{key: _value(text, kinds[key]) for key, text in row.items()}) for row in table]


def _value(text: str, kind: Any) -> Any:
    if kind is str:
        return text
    return (int if kind == int | None else float)(text) if text else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the recorded table: every cell, with its own seed."""
    parser = argparse.ArgumentParser(prog="python -m hollow.matrix", description="Make the table of chapter 6.")
    parser.add_argument("file", help="CSV file to write")
    for name, default in (("n", 10_000), ("pairs", 50), ("permutations", 20_000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    given = parser.parse_args(arguments)
    size = {"n": given.n, "pairs": given.pairs, "permutations": given.permutations}
    cells = []
    for i, (prior, path) in enumerate((a, b) for a in PRIORS for b in interpolations.names()):
        cells.append(measure(prior, path, **size, generator=torch.Generator().manual_seed(given.seed * 1000 + i)))
        print(f"{path} on {prior}: {cells[-1].found or 'no path'}", flush=True)
    options = " ".join(f"--{key} {value}" for key, value in (size | {"seed": given.seed}).items())
    write(cells, given.file, (
        "Each prior with each path at D = 100: properties 1-4, expected and found; "
        "chapter 6 of The Hollow Latent Space",
        f"made by: python -m hollow.matrix {given.file} {options}",
        f"commit: {commit(SOURCE / 'src')}; torch {torch.__version__.split('+')[0]}",
    ))  # fmt: skip
    print("\n".join(contradictions(cells)) or "no cell contradicts theory")


if __name__ == "__main__":
    main()
