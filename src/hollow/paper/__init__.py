"""The 23 figures of the paper, drawn from code and trained models.

`draw(13)` makes one; the chapters and `hollow figures` call it. Which models a figure needs stands in
`hollow.experiments.TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hollow import experiments


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper: its number, what it shows, and the chapter of the book that has it."""

    number: int
    title: str
    chapter: str
    module: str

    @property
    def label(self) -> str:
        """The name of the figure in the book."""
        return f"fig-paper-{self.number:02d}"

    @property
    def models(self) -> tuple[str, ...]:
        """The trained models that it decodes."""
        return tuple(name for name, row in experiments.TABLE.items() if self.number in row.figures)


_BUBBLE, _PLANE, _CAUCHY = "01_soap_bubble", "05_interpolations", "08_cauchy_and_kilcher"
_DECODED, _ORIGIN, _TESTS = "09_paths_decoded", "10_through_the_origin", "11_low_variance_sparse_orthogonal"
_ROWS = (
    ("norms as the dimension grows", _BUBBLE, "laws"),
    ("samples, Cauchy and Kilcher", _CAUCHY, "cauchy"),
    ("linear paths, Cauchy and Kilcher", _CAUCHY, "cauchy"),
    ("Cauchy-linear paths in the plane", _PLANE, "plane"),
    ("continuity, and all paths, in the plane", _PLANE, "plane"),
    ("all paths, decoded", _DECODED, "decoded"),
    ("through the origin, five models", _ORIGIN, "void"),
    ("through the origin, over training", _ORIGIN, "void"),
    ("low variance, normal prior", _TESTS, "strangers"),
    ("sparse prior, dense test", _TESTS, "strangers"),
    ("sparse prior in three dimensions", _TESTS, "strangers"),
    ("orthogonal test", _TESTS, "strangers"),
    ("samples of the Cauchy prior", _CAUCHY, "cauchy"),
    ("samples of the Cauchy prior in several dimensions", _CAUCHY, "cauchy"),
    ("linear paths, Cauchy prior, random points", _CAUCHY, "cauchy"),
    ("linear paths, Cauchy prior, opposite points", _CAUCHY, "cauchy"),
    ("linear paths, Cauchy prior, points of the tails", _CAUCHY, "cauchy"),
    ("Cauchy-linear paths, opposite points", _DECODED, "decoded"),
    ("Cauchy-linear paths, random points", _DECODED, "decoded"),
    ("spherical Cauchy-linear paths, random points", _DECODED, "decoded"),
    ("low variance, uniform prior", _TESTS, "strangers"),
    ("low variance, sphere", _TESTS, "strangers"),
    ("low variance, discrete prior", _TESTS, "strangers"),
)
FIGURES = {number: PaperFigure(number, *row) for number, row in enumerate(_ROWS, 1)}


def draw(number: int, *, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Draw one figure of the paper.

    Parameters
    ----------
    number : int
        1 to 23, as in Lesniak, Sieradzki, Podolak (2018).
    models : path, optional, keyword-only
        Folder of trained models, by default the shipped ones.
    device : str, keyword-only
        Where they decode.
    seed : int, keyword-only
        Seed of the latents.

    Raises
    ------
    ValueError
        If there is no such figure, or a model is missing; the message names the command that makes it.
    """
    if number not in FIGURES:
        raise ValueError(f"there is no figure {number}; the paper has {min(FIGURES)} to {max(FIGURES)}")
    figure = FIGURES[number]
    function = getattr(import_module(f"hollow.paper.{figure.module}"), f"figure_{number}")
    decoded: dict[str, Any] = {"models": models, "device": device} if figure.models else {}
    return function(**decoded, seed=seed)
