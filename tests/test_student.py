"""The student edition: no solution is left, nothing else is missing, and it runs."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest

from conftest import ROOT
from hollow import chapters, student
from test_cli import error, hollow

CHAPTERS = [path for path in chapters.find(ROOT) if path.stem[:2].isdigit()]


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    out = tmp_path_factory.mktemp("class") / "student"
    code, said = hollow("book", "--root", ROOT, "--student", out)
    assert code == 0, said
    return out


def solutions(cells):
    """Return the code cells of solutions, and the others."""
    inside, within, others = False, [], []
    for cell in cells:
        if cell["cell_type"] == "code":
            (within if inside else others).append(cell)
        elif marks := re.findall(r"\{solution-(start|end)\}", "".join(cell["source"])):
            inside = marks[-1] == "start"
    return within, others


def prose(cells):
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_are_gone_and_the_rest_is_there(edition, path):
    notebook, whole = chapters.read(edition / path.name), chapters.read(path)["cells"]
    nbformat.validate(nbformat.from_dict(notebook))
    within, others = solutions(whole)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    answers = [cell for cell in code if cell["source"] == ["# Your answer"]]
    assert len(answers) == prose(whole).count("{solution-start}") >= 3
    assert [cell for cell in code if cell not in answers] == others
    assert len(within) >= len(answers)
    left = re.sub(r"```\{solution-start\}.*?\{solution-end\}\n```", "", prose(whole), flags=re.DOTALL)
    assert "".join(prose(notebook["cells"]).split()) == "".join(left.split())


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_later_needs_a_solution(path):
    within, others = solutions(chapters.read(path)["cells"])

    def names(cells, kind):
        trees = [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
        found = [node for tree in trees for node in ast.walk(tree)]
        used = {node.id for node in found if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}
        if kind is ast.Store:
            used |= {node.name for node in found if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            used |= {alias.asname or alias.name.split(".")[0] for node in found
                     if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}  # fmt: skip
            used |= {node.arg for node in found if isinstance(node, ast.arg)}
        return used

    assert (names(others, ast.Load) & names(within, ast.Store)) - names(others, ast.Store) == set()


def test_a_student_notebook_runs(edition, tmp_path):
    command = [sys.executable, "-m", "papermill", str(edition / CHAPTERS[0].name), str(tmp_path / "out.ipynb")]
    run = subprocess.run([*command, "-p", "preset", "smoke"], cwd=edition, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "answer.txt").write_text("42")
    assert "exists already" in error("book", "--root", ROOT, "--student", tmp_path / "mine")
    assert (tmp_path / "mine" / "answer.txt").read_text() == "42"


def test_an_error_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(student, "without_solutions", lambda notebook: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        student.write(ROOT, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
