"""What the book is made from is known to the last byte, and nothing that is read can run code."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from conftest import ROOT
from hollow import chapters

# ---- requirements.lock

LOCK = ROOT / "requirements.lock"
BUILDS = {"hatchling", "editables", "tomlkit", "trove-classifiers"}  # the package itself


def locked() -> list[tuple[str, list[str]]]:
    """Return each requirement of the lock and its hashes."""
    entries = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    return [(entry.split(" \\\n")[0], re.findall(r"--hash=(\S+)", entry)) for entry in entries]


def test_the_lock_has_the_versions_of_the_constraints():
    pinned = {str(Requirement(line)) for line in (ROOT / "constraints.txt").read_text().splitlines() if line}
    found = {str(Requirement(requirement)) for requirement, _ in locked()}
    assert pinned - found == set(), "run: make lock KEEP=1"
    assert {Requirement(requirement).name for requirement in found - pinned} == BUILDS


def test_every_requirement_of_the_lock_has_hashes_and_a_version():
    for requirement, hashes in locked():
        assert [spec.operator for spec in Requirement(requirement).specifier] == ["=="], requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


def test_the_lock_names_no_place():
    assert re.findall(r"^.*(?:://|--index|--extra-index|--find-links|\s@\s).*$", LOCK.read_text(), re.MULTILINE) == []


def test_the_build_needs_nothing_else():
    wanted = re.search(r"requires = \[(.*)\]", (ROOT / "pyproject.toml").read_text())[1]
    pins = {Requirement(requirement).name: Requirement(requirement) for requirement, _ in locked()}
    for text in re.findall(r'"([^"]+)"', wanted):
        (version,) = [spec.version for spec in pins[Requirement(text).name].specifier]
        assert Requirement(text).specifier.contains(version)


# ---- nothing that is loaded can run code

RUN_CODE = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle",
    "pandas.read_pickle", "torch.load", "torch.hub", "torch.jit.load", "torch.package", "numpy.load", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load",
}  # fmt: skip
# The only file of others' weights that is read has that form. Torch reads it without running any code in it
# (weights_only), and only once its SHA-256 is known; `pickle` is there for the name of an error.
EXCEPTIONS = {("src/hollow/quality/inception.py", what) for what in ("pickle", "torch.load(weights_only=True)")}


def sources() -> dict[str, str]:
    """Return all Python of the project by file, that of the chapters too."""
    found = {}
    for folder in ("src", "tests"):
        found |= {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / folder).rglob("*.py"))}
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        lines = "\n\n".join("".join(cell["source"]) for cell in cells).splitlines()
        found[str(path.relative_to(ROOT))] = "\n".join(line for line in lines if not line.startswith(("%", "!")))
    return found


def runs_code(text: str) -> set[str]:
    """Return what a file calls or imports that could run code that it reads."""
    tree, names, found = ast.parse(text), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = "" if isinstance(node, ast.Import) else f"{node.module}."
            for alias in node.names:
                whole = module + alias.name
                first = alias.name.split(".")[0]
                names[alias.asname or first] = whole if alias.asname or module else first
                found |= {name for name in RUN_CODE if whole == name or whole.startswith(f"{name}.")}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = ast.unparse(node.func).partition(".")
        called = names.get(first, first) + (f".{rest}" if rest else "")
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if given.get("allow_pickle", "False") != "False":
            found.add("allow_pickle")
        elif called == "torch.load" and given.get("weights_only") == "True":
            found.add("torch.load(weights_only=True)")
        elif called != "numpy.load":  # which refuses pickles unless they are allowed
            found |= {name for name in RUN_CODE if called == name or called.startswith(f"{name}.")}
    return found


def test_nothing_that_is_loaded_can_run_code():
    found = {(name, what) for name, text in sources().items() for what in runs_code(text)}
    assert found == EXCEPTIONS
    assert {name.split("/")[0] for name in sources()} == {"src", "tests", "book"}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import load as read",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=False)",
        "from torch import load\nload('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy\nnumpy.load('x', allow_pickle=allowed)",
        "import joblib.memory",
        "import pandas as pd\npd.read_pickle('x')",
        "import yaml\nyaml.load('x', Loader=yaml.Loader)",
        "import shelve",
        "import torch\ntorch.hub.load('x', 'y')",
    ],
)
def test_what_could_run_code_is_found(text):
    assert runs_code(text)


@pytest.mark.parametrize(
    "text", ["import numpy as np\nnp.load('x')", "import json\njson.load(f)", "model.eval()", "a.load()"]
)
def test_what_could_not_is_left_alone(text):
    assert runs_code(text) == set()


def test_loading_what_is_shipped_unpickles_nothing():
    """Seen by Python itself: every module and name that an unpickler asks for is audited."""
    code = """
import sys
import torch
asked = []
from hollow import measure, quality, zoo
load = torch.load
torch.load = lambda *words, **options: asked.append("torch.load") or load(*words, **options)
sys.addaudithook(lambda event, words: asked.append(event) if event == "pickle.find_class" else None)
zoo.load("normal"), quality.load("portraits"), quality.load("photographs")
print("shipped", asked)
import pickle
pickle.loads(pickle.dumps(torch.Size([1])))
print("control", asked)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    shipped, control = done.stdout.splitlines()
    assert shipped == "shipped []"
    assert "pickle.find_class" in control


def test_only_files_that_hold_no_code_are_shipped():
    kinds = {path.suffix for folder in ("models", *chapters.SHIPPED) for path in (ROOT / "data" / folder).iterdir()}
    assert kinds == {".json", ".safetensors"}
    forbidden = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz", ".joblib", ".bin")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name in tracked.splitlines() if Path(name).suffix in forbidden] == []
