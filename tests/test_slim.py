"""Light pages: pictures stay what they are, pages name what is there, notebooks lose their outputs."""

import json

import numpy as np
import pytest
from PIL import Image

from hollow.slim import slim


@pytest.fixture
def html(tmp_path):
    """Return a folder of pages with a plot, a noisy picture, a notebook and scripts."""
    for folder in ("_images", "_sources", "_static/mathjax/sre", "_static/mathjax/output", "book"):
        (tmp_path / folder).mkdir(parents=True)
    plot = np.full((200, 300, 3), 255, np.uint8)
    plot[90:110] = (0, 114, 178)
    Image.fromarray(plot).save(tmp_path / "_images/plot.png")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "_images/1noise.png")
    again = '<a href="../_images/1noise.png"><img src="../_images/1noise.png"></a>'
    page = f'<img alt="a" src="../_images/plot.png">{again}'
    (tmp_path / "book/page.html").write_text(page)
    (tmp_path / "book/bare.html").write_text("<p>no picture</p>")
    cell = {"cell_type": "code", "execution_count": 3, "outputs": [{"text": "1"}], "source": ["1"], "metadata": {}}
    (tmp_path / "_sources/page.ipynb").write_text(json.dumps({"cells": [cell], "nbformat": 4}))
    for name in ("sre/speech.js", "tex-svg.js", "tex-chtml.js", "output/chtml.js"):
        (tmp_path / "_static/mathjax" / name).write_text("//")
    (tmp_path / "_static/theme.js.map").write_text("{}")
    return tmp_path, plot


def test_pages_name_pictures_that_are_there_and_smaller(html):
    folder, plot = html
    before = sum(path.stat().st_size for path in folder.rglob("*.png"))
    slim(folder)
    assert sorted(path.name for path in (folder / "_images").iterdir()) == ["1noise.webp", "plot.webp"]
    assert sum(path.stat().st_size for path in folder.rglob("*.webp")) < before
    assert np.array_equal(np.asarray(Image.open(folder / "_images/plot.webp").convert("RGB")), plot)
    assert (folder / "book/page.html").read_text() == (
        '<img alt="a" src="../_images/plot.webp" width="300" height="200"><a href="../_images/1noise.webp">'
        '<img loading="lazy" src="../_images/1noise.webp" width="300" height="300"></a>'
    )
    assert (folder / "book/bare.html").read_text() == "<p>no picture</p>"


def test_notebooks_lose_outputs_and_nothing_else(html):
    slim(html[0])
    (cell,) = json.loads((html[0] / "_sources/page.ipynb").read_text())["cells"]
    assert (cell["outputs"], cell["execution_count"], cell["source"]) == ([], None, ["1"])


def test_only_idle_scripts_go(html):
    slim(html[0])
    kept = {path.relative_to(html[0] / "_static").as_posix() for path in (html[0] / "_static").rglob("*.*")}
    assert kept == {"mathjax/tex-chtml.js", "mathjax/output/chtml.js"}
