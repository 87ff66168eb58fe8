"""The `hollow` command: help that teaches, files that are whole, and one line for what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from conftest import ROOT
from hollow.cli import app

# What torch says where there is no room.
MEMORY = (
    "CUDA out of memory. Tried to allocate 2 GiB", "DefaultCPUAllocator: can't allocate memory: you tried",
    "Storage size calculation overflowed with sizes=[20, 1000000000000000000]",
)  # fmt: skip
COMMANDS = ("train", "models", "sample", "path", "check", "faces", "figures", "features", "measure", "book")


def hollow(*words):
    """Run the command in this process; an exception that it does not expect is raised here."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.output


def error(*words):
    """Run the command, which must fail with one line, and return the line."""
    code, said = hollow(*words)
    assert code == 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with a model after two steps."""
    out = tmp_path_factory.mktemp("runs") / "normal"
    code, said = hollow("train", "normal", "--preset", "smoke", "--steps", 2, "--out", out, "--device", "cpu")
    assert code == 0, said
    assert f"hollow sample normal --models {out}" in said
    return out


def test_help_names_every_command_and_shows_examples():
    code, said = hollow("--help")
    assert code == 0
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert said.count("\n  hollow ") >= 6


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_examples(name):
    code, said = hollow(name, "--help")
    assert code == 0
    assert said.count(f"\n    hollow {name}") >= 2
    assert all(len(line) <= 100 for line in said.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_the_help_are_valid(name):
    """Every option in an example is an option of the command."""
    _, said = hollow(name, "--help")
    examples = [line for line in said.splitlines() if line.startswith(f"    hollow {name}")]
    options = said.split("Options:")[1]
    used = {word for line in examples for word in line.split("   ")[0].split() if word.startswith("--")}
    used |= {word for line in examples for word in line.split() if word.startswith("--")}
    assert [word for word in used if word not in options] == []


def test_nothing_at_all_is_answered_with_help():
    assert "Commands:" in hollow()[1]


def test_training_leaves_weights_manifest_log_and_checkpoint(trained):
    manifest = json.loads((trained / "normal.json").read_text())
    assert manifest["steps"] == 2
    assert manifest["command"] == "hollow train normal --preset smoke --steps 2"
    assert (trained / "normal.safetensors").stat().st_size == manifest["bytes"]
    assert (trained / "log.jsonl").read_text().count("\n") == 1


def test_training_again_needs_resume(trained):
    line = error("train", "normal", "--preset", "smoke", "--steps", 2, "--out", trained, "--device", "cpu")
    assert "--resume" in line


def test_graphs_want_a_gpu(tmp_path):
    line = error("train", "normal", "--preset", "smoke", "--graphs", "--device", "cpu", "--out", tmp_path)
    assert line.endswith("graphs with 1 process(es) on cpu; expected one process on a GPU: leave graphs out")


def test_a_folder_of_images_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("HOLLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for shade in range(64):
        Image.new("RGB", (70, 80), (shade, 0, 255 - shade)).save(tmp_path / "images" / f"{shade:02d}.png")
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    words = ("--preset", "smoke", "--steps", 1, "--images", tmp_path / "images", "--device", "cpu")
    code, said = hollow("train", "celeba-normal", *words, "--out", tmp_path / "run")
    assert code == 0, said
    assert "64 images" in said
    assert "1 skipped" in said
    assert json.loads((tmp_path / "run" / "celeba-normal.json").read_text())["images"].startswith("images ")


def test_models_are_listed_with_what_is_there(trained):
    code, said = hollow("models", "--models", trained)
    assert code == 0
    rows = {line.split()[0]: line for line in said.splitlines()[1:]}
    assert " 2 " in rows["normal"]
    assert "MB" in rows["normal"]
    assert "hollow train cauchy" in rows["cauchy"]


@pytest.mark.parametrize(("n", "size"), [(64, (8 * 66 + 2, 8 * 66 + 2)), (5, (3 * 66 + 2, 2 * 66 + 2)), (1, (68, 68))])
def test_a_sample_is_a_grid(trained, tmp_path, n, size):
    code, said = hollow("sample", "normal", "--models", trained, "--n", n, "--out", tmp_path / "s.png")
    assert code == 0, said
    assert Image.open(tmp_path / "s.png").size == size
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_the_seed_decides_the_sample(trained, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        hollow("sample", "normal", "--models", trained, "--n", 4, "--seed", seed, "--out", tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("words", [("linear",), ("spherical-cauchy-linear",), ("stable", "--alpha", "1.5")])
def test_a_path_is_a_picture(trained, tmp_path, words):
    out = tmp_path / "new" / "p.png"
    code, said = hollow("path", "normal", *words, "--models", trained, "--n", 2, "--steps", 3, "--out", out)
    assert code == 0, said
    assert Image.open(out).size[0] > 200


def test_check_prints_the_verdicts():
    code, said = hollow("check", "normal", "linear", "--dim", 10, "--n", 500)
    assert code == 0
    rows = [line for line in said.splitlines() if line[:2] in ("1 ", "2 ", "3 ", "4 ")]
    assert [("holds" in row, "fails" in row) for row in rows] == [(True, False)] * 3 + [(False, True)]


def test_faces_are_a_grid(tmp_path):
    assert hollow("faces", "--n", 9, "--out", tmp_path / "f.png")[0] == 0
    assert Image.open(tmp_path / "f.png").size == (3 * 66 + 2, 3 * 66 + 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train",), "give the NAME of one model, or --all"),
        (("train", "normal", "--all"), "give the NAME of one model, or --all"),
        (("train", "nobody"), "unknown experiment 'nobody'; expected one of normal"),
        (("train", "normal", "--preset", "huge"), "unknown preset 'huge'"),
        (("train", "celeba-normal"), "--images"),
        (("train", "normal", "--images", "/nowhere.zip"), "/nowhere.zip"),
        (("train", "celeba-normal", "--images", ""), "--images is empty"),
        (("train", "normal", "--images", "https://x.y/z.zip"), "'https://x.y/z.zip' is an address; download it"),
        (("check", "sphere", "spherical", "--dim", "1", "--n", "100"), "no way around 0"),
        (("train", "normal", "--device", "abacus"), "device 'abacus' cannot be used; expected auto"),
        (("sample", "nobody"), "unknown experiment 'nobody'"),
        (("sample", "normal", "--models", "/nowhere"), "make it with: hollow train normal"),
        (("path", "normal", "crooked", "--models", "MODELS"), "unknown path 'crooked'; expected one of linear"),
        (("path", "normal", "linear", "--alpha", "1", "--models", "MODELS"), "has no parameter 'alpha'"),
        (("check", "gauss", "linear"), "unknown prior 'gauss'; expected one of normal"),
        (("check", "normal", "crooked"), "unknown path 'crooked'"),
        (("check", "discrete", "cauchy-linear"), "does not exist here"),
        (("check", "normal", "linear", "--dim", "0"), "dim"),
        (("faces", "--out", "/proc/faces.png"), "/proc"),
        (("book", "--root", "/"), "holds no book"),
        (("book", "--preset", "huge"), "unknown preset 'huge'"),
        (("book", "--images", "/nowhere"), "/nowhere does not exist"),
    ],
)
def test_what_goes_wrong_gets_one_line(trained, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(ROOT if words[0] == "book" else tmp_path)
    assert said in error(*(str(trained) if word == "MODELS" else word for word in words))


@pytest.mark.parametrize("raised", [MemoryError(), *map(RuntimeError, MEMORY)])
def test_memory_that_runs_out_gets_one_line(monkeypatch, tmp_path, raised):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr("hollow.faces.portraits", fail)
    assert "out of memory" in error("faces", "--out", tmp_path / "f.png")


def test_an_error_of_ours_keeps_its_traceback(monkeypatch, tmp_path):
    monkeypatch.setattr("hollow.faces.portraits", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        hollow("faces", "--out", tmp_path / "f.png")


@pytest.mark.parametrize(
    "words", [("trian",), ("train", "normal", "--stesp", "3"), ("faces", "--n", "0"), ("faces", "--seed", str(2**64))]
)
def test_a_slip_of_the_keyboard_is_explained(words):
    code, said = hollow(*words)
    assert code == 2
    assert "Usage: " in said
    assert "Error" in said


def test_no_traceback_reaches_the_terminal(tmp_path):
    command = [sys.executable, "-m", "hollow", "check", "normal", "crooked"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: unknown path 'crooked'")
    assert run.stderr.count("\n") == 1


def test_ctrl_c_stops_training_with_a_checkpoint_and_resume_ends_it(tmp_path):
    words = ["train", "normal", "--preset", "smoke", "--steps", "40", "--out", str(tmp_path / "run"), "--device", "cpu"]
    run = subprocess.Popen([sys.executable, "-m", "hollow", *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    limit = time.time() + 120
    while not (tmp_path / "run" / "log.jsonl").exists() or not (tmp_path / "run" / "log.jsonl").stat().st_size:
        assert time.time() < limit
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("stopped after step ")
    code, _ = hollow(*words, "--resume")
    assert code == 0
    assert json.loads((tmp_path / "run" / "normal.json").read_text())["steps"] == 40


def test_help_comes_at_once():
    start = os.times()
    subprocess.run([sys.executable, "-m", "hollow", "--help"], capture_output=True, check=True)
    used = os.times()
    assert used.children_user - start.children_user < 1.5  # torch alone takes longer
