"""Values that a chapter glues into its prose, and the bounds that the prose relies on."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GLUED = "application/papermill.record/text/plain"
_LISTS = ("presets", "figures", "observations", "sentences")
_FIELDS = {"min", "max", "equals", "why", *_LISTS}


@dataclass(frozen=True)
class Claim:
    """One bound on one glued value.

    Attributes
    ----------
    chapter, key : str
        The chapter that glues the value, and the name it is glued under.
    why : str
        The sentence of the chapter that needs the bound.
    min, max : float or None
        Inclusive bounds.
    equals : object
        The exact value, None for no such claim.
    presets : tuple of str
        Presets under which the claim is checked, empty for all of them.
    figures, observations, sentences : tuple
        Rows of the index of the paper (`book/figure_index.md`) whose verdict rests on it: figures by number,
        observations by name such as "2.1", sentences by the number of their row.
    """

    chapter: str
    key: str
    why: str
    min: float | None = None
    max: float | None = None
    equals: Any = None
    presets: tuple[str, ...] = ()
    figures: tuple[int, ...] = ()
    observations: tuple[str, ...] = ()
    sentences: tuple[int, ...] = ()

    def failure(self, value: Any) -> str | None:
        """Return one line that says why `value` breaks the claim, or None if it keeps it."""
        if self.equals is not None:
            kept, bound = value == self.equals, f"equals {self.equals!r}"
        else:
            number = isinstance(value, int | float)
            kept = number and (self.min is None or value >= self.min) and (self.max is None or value <= self.max)
            bounds = (("min", self.min), ("max", self.max))
            bound = ", ".join(f"{name} {limit:g}" for name, limit in bounds if limit is not None)
        return None if kept else f"{self.chapter}: {self.key} = {value!r} breaks the claim {bound} ({self.why})"


def load(path: str | Path) -> tuple[Claim, ...]:
    """Read the claims of `claims.toml`, tables named `[chapter."key"]`; a missing file holds none.

    Raises
    ------
    ValueError
        If the file is not TOML, or a claim has no bound, no reason or an unknown field.
    """
    path = Path(path)
    if not path.exists():
        return ()
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    return tuple(_claim(chapter, key, row) for chapter, rows in tables.items() for key, row in rows.items())


def _claim(chapter: str, key: str, row: Mapping[str, Any]) -> Claim:
    where = f'claim [{chapter}."{key}"]'
    if not isinstance(row, Mapping) or set(row) - _FIELDS:
        raise ValueError(f"{where} has unknown fields; expected some of {', '.join(sorted(_FIELDS))}")
    if not row.get("why"):
        raise ValueError(f"{where} does not say why; name the sentence that needs it")
    if not set(row) & {"min", "max", "equals"}:
        raise ValueError(f"{where} has no bound; give min, max or equals")
    lists = {name: tuple(row.get(name, ())) for name in _LISTS}
    return Claim(chapter, key, **{**row, **lists})


def glued(notebook: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each value that an executed notebook glues, by its name."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name is not None:
                found[name] = output["data"].get(_GLUED, "")
    return found


def parse(text: str) -> Any:
    """Return the plain number, truth value or string that a glued text stands for.

    Raises
    ------
    ValueError
        If it stands for anything else, such as a numpy scalar.
    """
    try:
        return float(text) if text in ("nan", "inf", "-inf") else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"glued {text!r} is not a plain value; glue float(x) or int(x)") from None


def check(
    claims: tuple[Claim, ...], chapter: str, notebook: Mapping[str, Any], preset: str
) -> tuple[int, list[str], list[str]]:
    """Check the claims on one executed chapter.

    Returns
    -------
    int, list of str, list of str
        How many claims hold under `preset`; one line for each that its value breaks; one for each whose value is not
        glued, or is no plain value.
    """
    values, held = glued(notebook), 0
    broken: list[str] = []
    faults: list[str] = []
    for claim in claims:
        if claim.chapter != chapter or (claim.presets and preset not in claim.presets):
            continue
        if claim.key not in values:
            faults.append(f"{chapter}: claimed value {claim.key} is not glued by the chapter")
            continue
        try:
            failure = claim.failure(parse(values[claim.key]))
        except ValueError as error:
            faults.append(f"{chapter}: {claim.key}: {error}")
            continue
        if failure:
            broken.append(failure)
        else:
            held += 1
    return held, broken, faults
