"""The pipeline on a book of three tiny chapters: what is executed, what is refused, what is left alone."""

import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from hollow import chapters, claims, cli
from hollow.book import BookError, build

ROOT = Path(__file__).parents[1]
PARAMETERS = 'preset = "lite"\nimages = "procedural"\nmodels = ""\ndevice = "cpu"\nseed = 0'
GLUE = 'from myst_nb import glue\n\nglue("value", {"smoke": 1, "lite": 2}[preset] + seed, display=False)'
TOC = """format: jb-book
root: book/index
chapters:
  - file: book/01_one
  - file: book/02_two
  - file: book/status
"""
CONFIG = "title: Tiny\nexecute:\n  execute_notebooks: 'off'\n"
INPUTS = ("src/hollow/new.py", "constraints.txt", "data/models/a.json", "data/features/a.json", "book/assets/a.json",
          "book/01_one.ipynb")  # fmt: skip


def write_chapter(root, name, *code, text="The value is {glue:text}`value:.1f`."):
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# Chapter {name}\n\n{text}"}]
    for number, source in enumerate((PARAMETERS, *code)):
        cells.append({
            "cell_type": "code", "id": f"code-{number}", "execution_count": None, "outputs": [], "source": source,
            "metadata": {"tags": ["parameters"]} if number == 0 else {},
        })
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path = root / "book" / f"{name}.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def write_book(root):
    (root / "book").mkdir(parents=True)
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text(CONFIG)
    (root / "book" / "index.md").write_text("# Tiny\n\n[One](01_one.ipynb)\n")
    (root / "book" / "claims.toml").write_text('[01_one.value]\nmin = 1\nmax = 2\nwhy = "the title says so"\n')
    write_chapter(root, "01_one", GLUE)
    write_chapter(root, "02_two", "x = 1", text="No value.")
    return root


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = write_book(tmp_path_factory.mktemp("built"))
    return root, build(root)


@pytest.fixture
def book(built, tmp_path):
    """Return a copy of a book that is already built."""
    shutil.copytree(built[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def staged(root, name):
    return root / "_build" / "stage" / "book" / f"{name}.ipynb"


def test_builds_everything_from_nothing(built):
    root, done = built
    assert done.executed == ("01_one", "02_two")
    assert done.reused == ()
    assert done.claims == 1
    assert done.page == root / "_build" / "html" / "index.html"
    assert "The value is" in (root / "_build/html/book/01_one.html").read_text()
    assert claims.glued(chapters.read(staged(root, "01_one"))) == {"value": "2"}


def test_the_sources_stay_as_they_are(built):
    assert "2" not in chapters.read(built[0] / "book" / "01_one.ipynb")["cells"][-1]["outputs"]
    assert chapters.read(built[0] / "book" / "01_one.ipynb")["cells"][-1]["execution_count"] is None


def test_the_status_page_reports_the_run(built):
    page = (built[0] / "_build/stage/book/status.md").read_text()
    assert "01_one.ipynb" in page
    assert f"python {chapters.versions()['python']}" in page
    assert "preset = 'lite'" in page
    assert "1 claims" in page


def test_the_staged_chapter_holds_no_folder_of_this_machine(built):
    assert str(built[0]) not in staged(built[0], "01_one").read_text()


def test_nothing_is_done_twice(book):
    page = book / "_build/html/book/01_one.html"
    before, start = page.stat().st_mtime_ns, time.perf_counter()
    done = build(book)
    assert done.executed == ()
    assert done.reused == ("01_one", "02_two")
    assert page.stat().st_mtime_ns == before
    assert time.perf_counter() - start < 5


def test_only_what_changed_is_executed_and_the_pages_follow(book):
    write_chapter(book, "03_three", "x = 1", text="A new sentence.")
    (book / "book" / "02_two.ipynb").unlink()
    (book / "_toc.yml").write_text(TOC.replace("02_two", "03_three"))
    assert build(book).executed == ("03_three",)
    assert "A new sentence" in (book / "_build/html/book/03_three.html").read_text()
    assert not staged(book, "02_two").exists()
    assert not (book / "_build/html/book/02_two.html").exists()


def test_a_damaged_chapter_or_page_is_made_again(book):
    path, page = staged(book, "01_one"), book / "_build/html/book/01_one.html"
    good, shown = path.read_text(), page.read_text()
    path.write_text(good.replace('text/plain": "2"', 'text/plain": "1"'))
    assert path.read_text() != good
    page.write_text(shown.replace("The value is", "The worth is"))
    assert build(book).executed == ("01_one",)
    assert claims.glued(chapters.read(path)) == {"value": "2"}
    assert "The value is" in page.read_text()


@pytest.mark.parametrize(("arguments", "value"), [({"force": True}, "2"), ({"parameters": {"seed": -1}}, "1")])
def test_force_and_parameters_execute_again(book, arguments, value):
    assert build(book, chapters=["01"], **arguments).executed == ("01_one",)
    assert claims.glued(chapters.read(staged(book, "01_one"))) == {"value": value}


def test_presets_are_built_side_by_side_in_their_own_folders(book):
    done = build(book, preset="smoke", out=book / "_build" / "smoke", chapters=["01"])
    assert done.page is None
    assert claims.glued(chapters.read(book / "_build/smoke/stage/book/01_one.ipynb")) == {"value": "1"}
    assert claims.glued(chapters.read(staged(book, "01_one"))) == {"value": "2"}


@pytest.mark.parametrize("changed", INPUTS)
def test_the_fingerprint_sees_each_input(book, changed):
    def mark():
        return chapters.fingerprint(book, book / "book" / "01_one.ipynb", {"preset": "lite"})

    before = mark()
    assert mark() == before
    (book / changed).parent.mkdir(parents=True, exist_ok=True)
    (book / changed).write_text("changed")
    assert mark() != before


def test_the_fingerprint_sees_parameters_and_images(book, tmp_path):
    chapter, images = book / "book" / "01_one.ipynb", tmp_path / "images"
    images.mkdir()
    values = [{"preset": "lite"}, {"preset": "smoke"}, {"preset": "lite", "images": str(images)}]
    marks = [chapters.fingerprint(book, chapter, value) for value in values]
    (images / "1.png").write_text("image")
    marks.append(chapters.fingerprint(book, chapter, values[2]))
    assert len(set(marks)) == 4


def test_a_chapter_gets_the_parameters_that_it_has(book, tmp_path):
    chapter, digits = book / "book" / "02_two.ipynb", tmp_path / "digits.npz"
    digits.write_text("digits")
    chapter.write_text(chapter.read_text().replace("seed = 0", "seed = 0\\ndigits = 'embedded'"))
    build(book, parameters={"digits": str(digits)}, render=False)
    facts = [chapters.read(staged(book, name))["metadata"]["hollow"]["parameters"] for name in ("01_one", "02_two")]
    assert [value.get("digits") for value in facts] == [None, str(digits)]


def test_a_chapter_that_raises_is_named_and_leaves_the_rest_alone(book):
    page = (book / "_build/html/book/01_one.html").read_text()
    write_chapter(book, "01_one", GLUE + "  # changed")
    write_chapter(book, "02_two", "x = 1", "raise RuntimeError('no light in here\\nsecond line')")
    with pytest.raises(BookError, match=r"^02_two: cell 4 \(code-2\): RuntimeError: no light in here$"):
        build(book)
    assert not staged(book, "02_two").exists()
    assert "# changed" in staged(book, "01_one").read_text()
    assert (book / "_build/html/book/01_one.html").read_text() == page
    assert not list(staged(book, "02_two").parent.glob(".part*"))


def test_a_kernel_that_dies_is_placed_too(book):
    write_chapter(book, "02_two", "x = 1", "import os\n\nos._exit(3)")
    with pytest.raises(BookError, match=r"^02_two: cell 4 \(code-2\): .*Kernel died$"):
        build(book)


@pytest.mark.parametrize(("lost", "executed"), [(1, True), (chapters.STARTS, False)])
def test_a_kernel_that_is_lost_at_its_start_is_started_again(book, monkeypatch, lost, executed):
    starts, popen = [], subprocess.Popen

    def start(command, **options):
        starts.extend([command] * ("papermill" in command))
        if "papermill" in command and len(starts) <= lost:
            command = [sys.executable, "-c", f"raise SystemExit('RuntimeError: {chapters.LOST}')"]
        return popen(command, **options)

    monkeypatch.setattr(chapters.subprocess, "Popen", start)
    if executed:
        assert build(book, chapters=["01"], force=True).executed == ("01_one",)
    else:
        with pytest.raises(BookError, match=f"01_one: before its first cell: RuntimeError: {chapters.LOST}"):
            build(book, chapters=["01"], force=True)
    assert len(starts) == min(lost + 1, chapters.STARTS)


def test_chapters_run_side_by_side(book, tmp_path):
    wait = "import pathlib, time\n\nhere = pathlib.Path({!r})\n(here / {!r}).touch()\nstop = time.time() + 40\n"
    wait += "while not (here / {!r}).exists():\n    assert time.time() < stop\n    time.sleep(0.1)"
    write_chapter(book, "01_one", GLUE, wait.format(str(tmp_path), "a", "b"))
    write_chapter(book, "02_two", GLUE, wait.format(str(tmp_path), "b", "a"))
    assert build(book, jobs=2, render=False).executed == ("01_one", "02_two")


def test_a_warning_of_the_renderer_is_an_error(book):
    page = (book / "_build/html/book/index.html").read_text()
    (book / "book" / "index.md").write_text("# Tiny\n\n[One](nowhere.ipynb)\n")
    with pytest.raises(BookError, match=r"book/index\.md:3: WARNING: .*nowhere"):
        build(book)
    assert (book / "_build/html/book/index.html").read_text() == page
    with pytest.raises(BookError, match="nowhere"):  # and stays one: an incremental build would forget it
        build(book)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'; expected one of smoke, lite, paper"),
        ({"parameters": {"sead": 1}}, "no chapter of 01, 02 has a parameter 'sead'; expected preset, images, models"),
        ({"parameters": {"images": "/nowhere"}}, "images /nowhere does not exist"),
        ({"parameters": {"models": "/nowhere"}}, "models /nowhere does not exist"),
        ({"chapters": ["09"]}, "unknown chapter '09'; expected one of 01_one, 02_two"),
        ({"jobs": 0}, "jobs=0; expected at least 1"),
    ],
)
def test_bad_arguments_get_one_line(built, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        build(built[0], **arguments)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_book_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no book"):
        build(tmp_path)


# ---- claims


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ('[01_one.value]\nmin = 3\nwhy = "w"', r"01_one: value = 2 breaks the claim min 3 \(w\)"),
        ('[01_one.value]\nmax = 1\nwhy = "w"', r"01_one: value = 2 breaks the claim max 1 \(w\)"),
        ('[01_one.value]\nequals = 7\nwhy = "w"', r"01_one: value = 2 breaks the claim equals 7 \(w\)"),
        ('[01_one.other]\nmin = 3\nwhy = "w"', "01_one: claimed value other is not glued by the chapter"),
        ('[09_none.value]\nmin = 3\nwhy = "w"', "claims.toml names the chapter 09_none, which book/ does not hold"),
        ("[01_one.value]\nmin = 3", "does not say why"),
        ('[01_one.value]\nwhy = "w"', "has no bound"),
        ('[01_one.value]\nminimum = 3\nwhy = "w"', "has unknown fields"),
        ("[01_one.value", "is not valid TOML"),
    ],
)
def test_a_claim_that_does_not_hold_or_says_nothing_fails_the_build(book, claim, message):
    (book / "book" / "claims.toml").write_text(claim)
    with pytest.raises(ValueError, match=message):
        build(book, render=False)


def test_on_data_of_the_reader_a_claim_that_does_not_hold_is_told_and_stops_nothing(book):
    done = build(book, parameters={"seed": 5})
    line = "01_one: value = 7 breaks the claim min 1, max 2 (the title says so)"
    assert done.claims == 0
    assert done.broken == (line,)
    assert line in (book / "_build/stage/book/status.md").read_text()
    told = CliRunner().invoke(cli.app, ["book", "--root", str(book), "--seed", "5"])
    assert told.exit_code == 0
    assert line in told.output


def test_a_claim_on_a_chapter_without_the_parameter_still_fails(book, tmp_path):
    digits = tmp_path / "digits.npz"
    digits.write_text("digits")
    write_chapter(book, "01_one", GLUE + "  # changed")
    chapter = book / "book" / "02_two.ipynb"
    chapter.write_text(chapter.read_text().replace("seed = 0", "seed = 0\\ndigits = 'embedded'"))
    (book / "book" / "claims.toml").write_text('[01_one.value]\nmin = 3\nwhy = "w"')
    with pytest.raises(BookError, match="breaks the claim min 3"):
        build(book, parameters={"digits": str(digits)}, render=False)


@pytest.mark.parametrize(("values", "own"), [({}, False), ({"seed": 0, "device": "cuda"}, False), ({"seed": 1}, True),
                                             ({"images": "a.zip"}, True), ({"models": "m"}, True)])  # fmt: skip
def test_what_is_the_readers_own(values, own):
    assert chapters.theirs(values) is own


def test_on_data_of_the_reader_a_value_that_is_not_glued_still_fails(book):
    write_chapter(book, "01_one", "x = 1", text="No value.")
    with pytest.raises(ValueError, match="claimed value value is not glued"):
        build(book, parameters={"seed": 5}, render=False)


def test_claims_of_other_presets_are_not_checked(book):
    (book / "book" / "claims.toml").write_text('[01_one.value]\nmin = 3\nwhy = "w"\npresets = ["paper"]')
    assert build(book, render=False).claims == 0


@pytest.mark.parametrize("text", ["np.float64(0.5)", "tensor(1.)", ""])
def test_only_plain_values_are_glued(text):
    with pytest.raises(ValueError, match="is not a plain value"):
        claims.parse(text)


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("-3", -3), ("True", True), ("'a'", "a"), ("inf", math.inf)])
def test_plain_values_are_read_back(text, value):
    assert claims.parse(text) == value


def test_not_a_number_keeps_no_bound():
    assert claims.Claim("01", "k", "w", min=0.0).failure(float("nan"))
    assert claims.Claim("01", "k", "w", max=0.0).failure("text")


# ---- interruption


def test_an_interrupt_stops_every_process_and_stages_nothing(book):
    write_chapter(book, "02_two", "import time\n\nopen('begun', 'w').close()\ntime.sleep(1000)")
    run = subprocess.Popen(
        [sys.executable, "-m", "hollow", "book", "--root", str(book)], text=True, stderr=subprocess.PIPE, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    limit = time.time() + 60
    while not (book / "book" / "begun").exists():
        assert time.time() < limit, "the chapter did not begin"
        time.sleep(0.1)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 2  # papermill and its kernel
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert run.returncode == 130
    assert said.strip().splitlines()[-1] == "interrupted"
    assert not alive
    assert not staged(book, "02_two").exists()


def test_every_module_has_its_section_on_a_page_or_a_stated_reason_not_to():
    pages = "".join(path.read_text() for path in (ROOT / "book" / "api").glob("*.md"))
    documented = set(re.findall(r"automodule:: hollow\.(\S+)", pages))
    (reason,) = re.findall(r"A name is documented where .*?\n\n.*?\n", pages, re.DOTALL)
    elsewhere = set(re.findall(r"`(\w+)`", reason))
    source = ROOT / "src" / "hollow"
    modules = [".".join(path.relative_to(source).with_suffix("").parts) for path in source.rglob("*.py")]
    missing = [name for name in modules if name not in documented and name.split(".")[0] not in elsewhere]
    assert [name for name in missing if not name.endswith(("__init__", "__main__"))] == []
