"""The paper's 23 figures: each is drawn, from the models that the table names, and from its seed alone."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from conftest import ROOT
from hollow import chapters, claims, paper, zoo
from test_cli import error, hollow

NUMBERS = range(1, 24)
CLAIMS = claims.load(ROOT / "book" / "claims.toml")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def pixels(figure):
    figure.set_dpi(30)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def test_there_are_23_figures_with_their_chapters():
    assert list(paper.FIGURES) == list(NUMBERS)
    assert {figure.chapter for figure in paper.FIGURES.values()} <= {path.stem for path in chapters.find(ROOT)}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_figure_is_drawn_from_the_models_of_the_table(number, monkeypatch):
    loaded, load = set(), zoo.load

    def noted(name, *words, **options):
        loaded.add(name.split("@")[0])
        return load(name, *words, **options)

    monkeypatch.setattr(zoo, "load", noted)
    first = pixels(paper.draw(number))
    assert loaded == set(paper.FIGURES[number].models)
    assert first.std() > 5  # something is on it
    if number != 11:  # the supports in three dimensions are drawn without chance, or seen from one side
        assert not np.array_equal(first, pixels(paper.draw(number, seed=1)))


@pytest.mark.parametrize("number", [4, 11, 13])
def test_the_same_seed_gives_the_same_figure(number):
    assert np.array_equal(pixels(paper.draw(number)), pixels(paper.draw(number)))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_chapter_shows_the_figure_under_its_label(number):
    figure = paper.FIGURES[number]
    cells = chapters.read(ROOT / "book" / f"{figure.chapter}.ipynb")["cells"]
    (cell,) = [c for c in cells if c["metadata"].get("mystnb", {}).get("figure", {}).get("name") == figure.label]
    assert f"paper.draw({number}, " in "".join(cell["source"])
    assert cell["metadata"]["mystnb"]["figure"]["caption"].startswith(f"Figure {number} of the paper")


def verdicts(heading):
    """Return the rows of a table of the index, by the number or name that begins them."""
    index = (ROOT / "book" / "figure_index.md").read_text()
    (table,) = [part for part in index.split("\n## ") if part.startswith(heading)]
    rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    return {re.match(r"\| ([\d.]+)", row)[1]: row for row in rows}


@pytest.mark.parametrize(("heading", "n"), [("Figures", 23), ("Observations", 7), ("Sentences", 25)])
def test_every_verdict_of_the_index_rests_on_claims(heading, n):
    rows = verdicts(heading)
    assert len(rows) == n
    backed = {str(name) for claim in CLAIMS for name in getattr(claim, heading.lower())}
    assert backed == set(rows)
    for row in rows.values():
        found = row.rsplit(" | ", 1)[1]
        assert re.match(r"\*\*(agrees|agrees with a condition|does not agree)\*\*", found), row


def test_the_index_names_label_and_models_of_each_figure():
    rows = verdicts("Figures")
    for number, figure in paper.FIGURES.items():
        assert f"{{numref}}`{figure.label}`" in rows[str(number)]
        assert all(f"`{name}`" in rows[str(number)] for name in figure.models)


def test_a_figure_becomes_a_file(tmp_path):
    for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        out = tmp_path / f"one.{kind}"
        assert hollow("figures", 4, "--out", out)[0] == 0
        assert out.read_bytes().startswith(start)


def test_the_list_of_figures_names_their_models():
    said = hollow("figures")[1].splitlines()
    assert len(said) == 23
    assert "cauchy" in said[12]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((0,), "there is no figure 0; the paper has 1 to 23"),
        ((24,), "there is no figure 24"),
        ((4, "--out", "four.jpeg"), "expected .png, .pdf or .svg"),
        ((13, "--models", "EMPTY"), "make it with: hollow train cauchy"),
    ],
)
def test_what_goes_wrong_gets_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in error("figures", *(tmp_path if word == "EMPTY" else word for word in words))
    assert list(tmp_path.iterdir()) == []
