"""The page of the paper's scale: its commands run, with a few steps, and what they record is what the page reads."""

import glob
import io
import re
import shlex
import shutil
import zipfile

import pytest
from PIL import Image

from conftest import ROOT
from hollow import chapters, faces, measure
from hollow.measure import Point, run
from test_cli import hollow

PAGE = ROOT / "book" / "scale.ipynb"
NEEDED = [Point("celeba-normal"), Point("celeba-cauchy"), Point("celeba-normal", "path", "linear", 0.5)]


def commands():
    """Return the commands of the page, a list of words each."""
    prose = "\n".join("".join(cell["source"]) for cell in chapters.read(PAGE)["cells"])
    return [shlex.split(line) for line in re.search(r"```bash\n(.*?)```", prose, re.DOTALL)[1].splitlines()]


@pytest.fixture
def photographs(tmp_path):
    """Return a zip of JPEGs that stand for photographs."""
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        for i, face in enumerate(faces.portraits(70)[0]):
            picture = io.BytesIO()
            Image.fromarray(face.permute(1, 2, 0).numpy()).save(picture, "JPEG")
            archive.writestr(f"{i:06d}.jpg", picture.getvalue())


def test_the_commands_of_the_page_run_and_record(photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "SMALL", 80)
    monkeypatch.setattr(run, "BATCH", 20)
    monkeypatch.setattr(measure, "grid", lambda models=None: NEEDED)
    (tmp_path / "book/assets").mkdir(parents=True)
    for words in commands():
        if words[0] == "cp":
            for pattern in ("*.safetensors", "*.json"):
                for file in glob.glob(f"runs/paper/*/celeba-{pattern}"):
                    shutil.copy(file, words[-1])
            continue
        extra = {"train": ["--steps", 1, "--device", "cpu"], "measure": ["--n", 100, "--jobs", 1, "--device", "cpu"]}
        code, said = hollow(*words[1:], *extra.get(words[1], ["--device", "cpu"]))
        assert code == 0, said
    table = measure.read("book/assets/paper-scale.csv")
    assert list(table.points) == NEEDED
    assert "--models runs/paper" in table.made_by
    assert set(table.hashes) == {"celeba-normal", "celeba-cauchy", "features-photographs"}
    assert table.hashes["celeba-normal"] != measure.hashes()["celeba-normal"]  # these weights, not the shipped ones
    assert len(list((tmp_path / "book/assets").glob("paper-scale-*.png"))) == 2


@pytest.mark.parametrize("model", ["celeba-normal", "celeba-cauchy"])
def test_the_page_asks_for_points_that_are_measured(model):
    asked = [Point(model), Point(model, "path", "linear", 0.5), *(Point(model, "radius", at=r) for r in (0.5, 2.0))]
    assert set(asked) <= set(measure.grid([model]))
