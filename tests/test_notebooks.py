"""The chapters as files: clean, complete, and with no number typed into the prose; and papermill alone runs them."""

import copy
import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
import yaml

from conftest import ROOT
from hollow import chapters, claims

CHAPTERS = chapters.find(ROOT)
PARAMETERS = 'preset = "lite"\nimages = "procedural"\nmodels = ""\ndevice = "cpu"\nseed = 0'
WITH_DIGITS = PARAMETERS.replace("models", 'digits = "embedded"\nmodels')
REFUSED = {
    "runs a shell": r"^\s*[!%]\s*(pip|conda|apt|wget|curl)",
    "hides warnings": r"filterwarnings|simplefilter|catch_warnings",
    "imports *": r"import \*",
    "downloads": r"urlopen|urlretrieve|requests\.|download=True",
    "names a folder of one machine": r"\.\./|/work/|/home/|/tmp/",
}
# What may stand before a number with a decimal point: it is then a name, not a result.
NAMES = r"(?:sections?|obs\.|observations?|figs?\.?|figures?|python|version|CC BY|arXiv:?|eq\.|torch)\s*\(?$"
# Code, mathematics, roles such as glue, links, comments and options: what they hold is no prose.
SHIELDS = (
    r"^```(?!\{).*?^```", r"\$\$.*?\$\$", r"\$.*?\$", r"\{[\w:]+\}`[^`]*`", r"`[^`]*`", r"\]\([^)]*\)", r"https?://\S+",
    r"<!--.*?-->", r"^:\w+:.*?$",
)  # fmt: skip


def text_of(cell):
    return "".join(cell["source"])


def tags(cell):
    return cell["metadata"].get("tags", [])


def glued(cells):
    """Return a pattern for each key that the code glues; what an f-string fills in matches anything."""
    found = []
    for cell in cells:
        for f, key in re.findall(r'\bglue\(\s*(f?)"([^"]+)"', text_of(cell)):
            parts = re.split(r"\{[^{}]*\}", key) if f else [key]
            found.append(".+".join(map(re.escape, parts)))
    return found


def typed(text):
    """Return the decimal numbers in prose that are neither glued, nor code, nor mathematics, nor part of a name."""
    for shield in SHIELDS:
        text = re.sub(shield, " ", text, flags=re.DOTALL | re.MULTILINE)
    hits = re.finditer(r"(?<![\w.])\d+\.\d+(?!\w|\.\d)", text)
    return [hit[0] for hit in hits if not re.search(NAMES, text[: hit.start()], re.IGNORECASE)]


def problems(notebook, number):
    """Return what is wrong with a chapter, in words."""
    cells, bad = notebook["cells"], []
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    prose = [cell for cell in cells if cell["cell_type"] == "markdown"]
    try:
        nbformat.validate(nbformat.from_dict(notebook))
    except nbformat.ValidationError as error:
        bad.append(f"not a valid notebook: {error.message}")
    ids = [cell.get("id", "") for cell in cells]
    bad += [f"two cells are called {name}" for name in {name for name in ids if ids.count(name) > 1}]
    bad += [f"cell id {name!r} is not stable" for name in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*-\d\d\w?", name)]
    if set(notebook["metadata"]) - {"kernelspec", "language_info"}:
        bad.append("metadata other than the kernel's")
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        bad.append("kernel is not python3")
    parameters = [text_of(cell).strip() for cell in cells if "parameters" in tags(cell)]
    if parameters not in ([PARAMETERS], [WITH_DIGITS]):
        bad.append("not exactly one parameters cell with the five parameters")
    if not cells or not re.match(r"# \S", text_of(cells[0])):
        bad.append("does not begin with its title")

    keys = glued(code)
    for cell in code:
        name, source = cell.get("id"), text_of(cell)
        if cell.get("outputs") or cell.get("execution_count") is not None:
            bad.append(f"{name} holds outputs")
        bad += [f"{name} {what}" for what, pattern in REFUSED.items() if re.search(pattern, source, re.MULTILINE)]
        if "raises-exception" in tags(cell):
            bad.append(f"{name} may fail")
        shown = cell["metadata"].get("mystnb", {})
        figure, image = shown.get("figure", {}), shown.get("image", {})
        if re.search(r"^plt\.show\(\)", source, re.MULTILINE) or shown:
            if not (figure.get("caption") and re.fullmatch(r"fig-[\w-]+", figure.get("name", ""))):
                bad.append(f"{name} draws a figure without a caption or a name")
            if len(image.get("alt", "").split()) < 8:
                bad.append(f"{name} draws a figure whose alt text does not say what is to be seen")
    for cell in prose:
        name, source = cell.get("id"), text_of(cell)
        bad += [f"{name} has the typed number {number}" for number in typed(source)]
        for key, form in re.findall(r"\{glue:\w*\}`([^`:]+)(:[^`]+)?`", source):
            if not any(re.fullmatch(pattern, key) for pattern in keys):
                bad.append(f"{name} shows {key}, which no cell glues")
            if not form:
                bad.append(f"{name} shows {key} without a format")
    bad += [f"key {key} does not begin with {number}-" for key in keys if not key.startswith(re.escape(f"{number}-"))]

    whole = "\n".join(text_of(cell) for cell in prose)
    labels = re.findall(r"\{exercise-start\}[^\n]*\n(?::\w+:[^\n]*\n)*?:label: (\S+)", whole)
    solved = re.findall(r"\{solution-start\} (\S+)\n:class: dropdown", whole)
    teaches = number.isdigit()  # not a page of the back matter
    if teaches and (len(labels) < 3 or labels != solved):
        bad.append(f"exercises {labels} and folded solutions {solved}; expected three or more, all solved")
    exercises = re.findall(r"\{exercise-start\}.*?\{exercise-end\}", whole, re.DOTALL)
    if not all(re.search(r"\*\*Check\*\*.*?`assert ", exercise, re.DOTALL) for exercise in exercises):
        bad.append("an exercise has no check that the reader can run")
    executed = True
    for cell in cells:
        asserts = cell["cell_type"] == "code" and re.search(r"^\s*assert ", text_of(cell), re.MULTILINE)
        marks = ["assert"] if asserts else re.findall(r"\{solution-(?:start|end)\}", text_of(cell))
        for mark in marks:
            if mark == "{solution-end}" and not executed:
                bad.append(f"the solution that ends in {cell.get('id')} does not execute the check")
            executed = mark != "{solution-start}"
    wanted = ("What we saw", "Next") if teaches else ()
    bad += [f"there is no section {title!r}" for title in wanted if f"## {title}" not in whole]
    return bad


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_clean_and_complete(path):
    assert problems(chapters.read(path), chapters.number(path)) == []


def test_the_chapters_are_those_of_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    executed = [name for name in listed if (ROOT / f"{name}.ipynb").exists()]
    assert sorted(executed) == [f"book/{path.stem}" for path in CHAPTERS]
    numbered = [name for name in executed if name[5].isdigit()]
    assert executed[: len(numbered)] == sorted(numbered)  # in their order, before the pages of the back matter
    assert len(numbered) >= 12


def test_names_of_figures_and_keys_are_those_of_one_chapter():
    names = [
        cell["metadata"]["mystnb"]["figure"]["name"]
        for path in CHAPTERS for cell in chapters.read(path)["cells"] if "mystnb" in cell["metadata"]
    ]  # fmt: skip
    assert len(names) == len(set(names))


def test_every_claim_is_about_a_glued_value_of_a_chapter():
    found = claims.load(ROOT / "book" / "claims.toml")
    keys = {path.stem: glued(chapters.read(path)["cells"]) for path in CHAPTERS}
    assert [claim for claim in found if not any(re.fullmatch(key, claim.key) for key in keys[claim.chapter])] == []
    assert {claim.chapter for claim in found} == set(keys)
    assert {preset for claim in found for preset in claim.presets} <= set(chapters.PRESETS)


def test_claims_hold_at_the_smoke_size(smoke):
    everywhere = [c for c in claims.load(ROOT / "book" / "claims.toml") if not c.presets or "smoke" in c.presets]
    assert smoke.claims == len(everywhere) > 0


def test_no_chapter_writes_to_standard_error(smoke, stage):
    noisy = [
        (path.stem, cell["id"], "".join(output["text"])[:200])
        for path in sorted(stage.glob("*.ipynb")) for cell in chapters.read(path)["cells"]
        for output in cell.get("outputs", ()) if output.get("name") == "stderr"
    ]  # fmt: skip
    assert noisy == []


@pytest.mark.parametrize("folder", [".", "book"])
def test_papermill_alone_runs_a_chapter(folder, tmp_path):
    chapter = os.path.relpath(CHAPTERS[0], ROOT / folder)
    command = [sys.executable, "-m", "papermill", chapter, str(tmp_path / "out.ipynb"), "-p", "preset", "smoke"]
    run = subprocess.run(command, cwd=ROOT / folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert claims.glued(chapters.read(tmp_path / "out.ipynb"))


# ---- the checks themselves


def cell(kind, number, source, **metadata):
    more = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": f"tiny-chapter-{number:02d}", "metadata": metadata, "source": source, **more}


def exercise(number, name):
    task = f"```{{exercise-start}} T\n:label: {name}\n```\nDo.\n\n**Check**: `assert x == 2`\n```{{exercise-end}}\n```"
    return [
        cell("markdown", number, task),
        cell("markdown", number + 1, f"```{{solution-start}} {name}\n:class: dropdown\n```"),
        cell("code", number + 2, "x = 1 + 1\nassert x == 2"),
        cell("markdown", number + 3, "```{solution-end}\n```"),
    ]


ALT = "A curve that rises from left to right, then falls."
FIGURE = {"figure": {"caption": "A curve.", "name": "fig-tiny"}, "image": {"alt": ALT}}
GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "cells": [
        cell("markdown", 0, "# Tiny\n\nSee section 3.4 and $x = 1.5$; it is {glue:text}`99-value:.2f`."),
        cell("code", 1, PARAMETERS, tags=["parameters"]),
        cell("code", 2, 'glue("99-value", 1.5, display=False)\nfor x in "ab":\n    glue(f"99-each-{x}", x)'),
        cell("code", 3, "plt.show()", mystnb=FIGURE),
        *exercise(10, "ex-99-a"), *exercise(20, "ex-99-b"), *exercise(30, "ex-99-c"),
        cell("markdown", 40, "## What we saw\n\n## Next"),
    ],
}  # fmt: skip


def broken(change):
    notebook = copy.deepcopy(GOOD)
    change(notebook["cells"], notebook)
    return problems(notebook, "99")


def append(number, text):
    def change(cells, _):
        cells[number]["source"] += text

    return change


def test_a_good_chapter_has_no_problem():
    assert problems(GOOD, "99") == []


@pytest.mark.filterwarnings("ignore::nbformat.warnings.DuplicateCellId")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (append(0, " About 0.25."), "has the typed number 0.25"),
        (append(0, " {glue:text}`99-other:.2f`"), "shows 99-other, which no cell glues"),
        (append(0, " {glue:text}`99-value`"), "shows 99-value without a format"),
        (append(1, "\nextra = 1"), "not exactly one parameters cell"),
        (append(2, '\nglue("98-x", 1)'), "key 98"),
        (append(2, "\n!pip install x"), "runs a shell"),
        (append(2, "\nwarnings.filterwarnings('ignore')"), "hides warnings"),
        (append(2, "\nopen('../shared/data')"), "names a folder of one machine"),
        (append(-1, "\n\n```{exercise-start}\n:label: ex-99-d\n```"), "all solved"),
        (lambda cells, _: cells[2].update(execution_count=1), "holds outputs"),
        (lambda cells, _: cells[2].update(id="1a2b3c4d"), "is not stable"),
        (lambda cells, _: cells[2].update(id=cells[3]["id"]), "two cells are called"),
        (lambda cells, _: cells[3]["metadata"].clear(), "without a caption or a name"),
        (lambda cells, _: cells[3]["metadata"]["mystnb"].pop("image"), "does not say what is to be seen"),
        (lambda cells, _: cells.pop(6), "does not execute the check"),
        (lambda cells, _: cells[4].update(source=cells[4]["source"].replace("Check", "Hint")), "has no check"),
        (lambda cells, _: cells.pop(), "no section 'Next'"),
        (lambda cells, _: cells.pop(0), "does not begin with its title"),
        (lambda _, notebook: notebook["metadata"].update(papermill={}), "metadata other than the kernel's"),
    ],
)
def test_each_problem_is_found(change, said):
    assert any(said in problem for problem in broken(change)), broken(change)


@pytest.mark.parametrize("text", ["a 3.5 b", "(0.5)", "**1.25**", "about 12.5 %", "| 0.3 |"])
def test_typed_numbers_are_found(text):
    assert typed(text)


@pytest.mark.parametrize(
    "text", ["`0.5`", "$0.5$", "$$\n0.5\n$$", "section 3.4", "Observation 2.1", "{glue:text}`a:.2f`", "v1.2.3"]
)
def test_names_code_and_mathematics_are_not_typed_numbers(text):
    assert not typed(text)


def test_chapters_are_formatted_as_json_that_git_can_compare():
    for path in CHAPTERS:
        notebook = chapters.read(path)
        assert path.read_text(encoding="utf-8") == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", path.name
