"""The whole table in one command: what is finished is kept, what was begun goes on."""

import pytest
from typer.testing import CliRunner

from hollow import experiments, sweep, training, zoo
from hollow.cli import app


@pytest.fixture
def table(monkeypatch):
    rows = {name: experiments.TABLE[name] for name in ("uniform", "cauchy-10", "celeba-normal")}
    monkeypatch.setattr(experiments, "TABLE", rows)


def run(out, *words):
    """Return what is said of each row."""
    words = ("train", "--all", "--preset", "smoke", "--steps", 2, "--device", "cpu", "--out", out, *words)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith(tuple(experiments.TABLE))]
    return dict(row.split(None, 1) for row in rows)


def test_all_rows_are_trained_once(table, tmp_path):
    first = run(tmp_path)
    assert first["uniform"] == first["cauchy-10"] == "trained"
    assert "--images" in first["celeba-normal"]
    assert zoo.available(tmp_path) == ["cauchy-10", "uniform"]
    assert zoo.load("cauchy-10", tmp_path).manifest["command"] == "hollow train cauchy-10 --preset smoke --steps 2"
    before = (tmp_path / "uniform.json").stat().st_mtime_ns
    assert run(tmp_path)["uniform"] == "kept"
    assert (tmp_path / "uniform.json").stat().st_mtime_ns == before
    assert run(tmp_path / "other", "--seed", 1)["uniform"] == "trained"


def test_the_command_says_all_that_was_wished():
    plan = sweep.Plan("paper", "a b.zip", steps=9, device="cuda", seed=3, graphs=True)
    said = "hollow train celeba-normal --preset paper --images 'a b.zip' --steps 9 --seed 3 --graphs"
    assert plan.command("celeba-normal", "a b.zip") == said
    assert sweep.Plan().command("normal", "procedural") == "hollow train normal"


def test_other_wishes_are_not_taken_for_finished(table, tmp_path):
    run(tmp_path)
    row = experiments.get("uniform")
    for plan, kept in ((sweep.Plan("smoke", steps=2), True), (sweep.Plan("smoke"), False)):
        assert sweep.finished(row, plan.recipe(row), plan, tmp_path) is kept
    plan, weights = sweep.Plan("smoke", steps=2), tmp_path / "uniform.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not sweep.finished(row, plan.recipe(row), plan, tmp_path)  # damaged
    weights.unlink()
    assert not sweep.finished(row, plan.recipe(row), plan, tmp_path)


def test_a_row_that_was_interrupted_goes_on(table, tmp_path, monkeypatch):
    whole, calls = training.train, []

    def cut(experiment, *words, **options):
        calls.append((experiment.name, options["resume"]))
        if len(calls) == 2:
            raise KeyboardInterrupt("stopped")
        return whole(experiment, *words, **options)

    monkeypatch.setattr(training, "train", cut)
    with pytest.raises(AssertionError, match="stopped"):
        run(tmp_path)
    assert run(tmp_path)["uniform"] == "kept"
    assert calls == [("uniform", True), ("cauchy-10", True), ("cauchy-10", True)]
    assert zoo.available(tmp_path) == ["cauchy-10", "uniform"]
