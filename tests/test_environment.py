"""The ways to install the book agree with pyproject.toml, and CI runs what the README says."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["test"]]


def pins():
    """Return the requirements of constraints.txt by name; one name may have several, for different Pythons."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def test_conda_gets_what_pip_gets():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert sorted(pip) == sorted([*WANTED, "--constraint constraints.txt", "--editable ."])
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


def test_every_requirement_is_pinned_inside_its_bounds():
    pinned = pins()
    for text in WANTED:
        requirement = Requirement(text)
        versions = [spec.version for pin in pinned[canonicalize_name(requirement.name)] for spec in pin.specifier]
        assert versions, text
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), text


def test_pins_are_exact_and_have_no_local_version():
    for requirements in pins().values():
        for requirement in requirements:
            assert [spec.operator for spec in requirement.specifier] == ["=="], requirement
            assert "+" not in str(requirement.specifier), requirement


def test_torch_and_torchvision_are_a_pair():
    pinned = pins()
    (torch,), (torchvision,) = ([str(p.specifier)[2:] for p in pinned[name]] for name in ("torch", "torchvision"))
    assert int(torchvision.split(".")[1]) == int(torch.split(".")[1]) + 14  # 2.9 came with 0.24, 2.11 with 0.26


def test_only_version_1_of_jupyter_book_reads_the_configuration():
    (book,) = [Requirement(text) for text in EXTRAS["book"] if text.startswith("jupyter-book")]
    assert not book.specifier.contains("2.0.0")


def test_make_accepts_the_pythons_of_the_package():
    makefile = (ROOT / "Makefile").read_text()
    low, high = re.search(r"\((\d+, \d+)\) <= sys\.version_info\[:2\] <= \((\d+, \d+)\)", makefile).groups()
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(8, 20) if supported.contains(f"3.{minor}")] == [
        f"3.{minor}" for minor in range(int(low.split(", ")[1]), int(high.split(", ")[1]) + 1)
    ]


# As if typed in a terminal: `make test` itself hands its options down to every make below it.
OUTSIDE = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


@pytest.mark.parametrize("python", ["", "/nowhere/python"])
def test_without_a_python_make_says_so_in_one_line(python):
    make = ["make", "--dry-run", "--always-make", "setup", f"PYTHON={python}"]
    run = subprocess.run(make, cwd=ROOT, env=OUTSIDE, capture_output=True, text=True, check=True)
    check = "\n".join(run.stdout.split("\n")[:2])  # the first command, on two lines
    assert "error: no Python" in check
    found = subprocess.run(["sh", "-c", check], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert len(found.stderr.strip().splitlines()) == 1 or "not found" in found.stderr
    fine = check.replace(f'"{python}"', f'"{sys.executable}"')
    assert subprocess.run(["sh", "-c", fine], capture_output=True, check=False).returncode == 0


def test_options_of_make_reach_the_book():
    options = ["PRESET=smoke", "IMAGES=a b.zip", "DIGITS=d", "MODELS=m", "DEVICE=cuda", "SEED=3", "JOBS=2"]
    make = ["make", "--dry-run", "book", *options, "FORCE=1"]
    run = subprocess.run(make, cwd=ROOT, env=OUTSIDE, capture_output=True, text=True, check=True)
    said = "--preset smoke --images 'a b.zip' --digits 'd' --models 'm' --device cuda --seed 3 --jobs 2 --force"
    assert run.stdout.strip().endswith(f"hollow book {said}")


def test_ci_runs_the_two_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert re.findall(r"^make .*", script, re.MULTILINE) == ["make test", "make book"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
    readme = (ROOT / "README.md").read_text()
    assert "make test" in readme
    assert "make book" in readme


def test_the_first_three_rooms_need_no_torchvision_or_matplotlib():
    code = "import sys, hollow.priors, hollow.interpolations, hollow.properties; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torchvision", "matplotlib", "seaborn"} & set(run.stdout.split())
    assert "scipy" in run.stdout.split()


def test_presets_are_named_alike_by_recipes_and_chapters():
    from hollow import chapters, experiments

    assert tuple(experiments.PRESETS) == chapters.PRESETS
