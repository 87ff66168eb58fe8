"""The command of chapter 15: which seeds it takes, what its record says, and how it goes on."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from hollow import cli_oddity, oddity
from hollow.cli import app
from hollow.files import read_record


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A file of digits, and the experiment at a size of seconds; what it ships goes to a folder of the test."""
    bundled = load_digits()
    np.savez(tmp_path / "d.npz", x_train=(bundled.images * 15).astype(np.uint8), y_train=bundled.target)
    sizes = oddity.Sizes(train=90, held_out=20, codes=45, steps=60, hidden=(16,), centres=8, grid=5)
    monkeypatch.setattr(oddity, "Sizes", lambda: sizes)
    monkeypatch.setattr(oddity, "TRIPLES", ((0, 1, 2),))
    monkeypatch.setattr(oddity, "STEPS", (20, 40))
    monkeypatch.setattr(oddity, "folder", lambda: tmp_path)
    monkeypatch.setattr(cli_oddity, "REFINED", 1)
    trained, real = [], oddity.train

    def counted(data, classes, sizes, *, seed):
        trained.append((tuple(classes), seed))
        return real(data, classes, sizes, seed=seed)

    monkeypatch.setattr(oddity, "train", counted)

    def run(out="record.json"):
        trained.clear()
        words = ["oddity", "--digits", str(tmp_path / "d.npz"), "--out", str(tmp_path / out), "--seeds", "2"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return read_record(tmp_path / out)

    return run, trained


def test_the_record_is_of_seeds_that_were_never_looked_at_and_goes_on(small, monkeypatch):
    run, trained = small
    record = run()
    assert record["seeds"] == [10, 11]
    assert trained[-1] == ((0, 1, 2), 0)  # the decoder that is shipped, and of no table
    assert {seed for _, seed in trained[:-1]} == {10, 11}
    assert record["command"] == "hollow oddity --digits d.npz --seeds 2"
    assert record["commit"]
    parts = record["parts"]
    assert parts.keys() == {"012-seed10", "01-seed10", "012-seed11", "01-seed11"}
    assert "refined" in parts["012-seed10"]
    assert "refined" not in parts["012-seed11"]
    for name in ("012-seed10", "012-seed11"):
        assert {"euclidean", "flat", "no precision", "riemannian", "chosen"} <= parts[name].keys()
    again = run()
    assert trained == [((0, 1, 2), 0)]
    assert again["parts"] == parts
    # The control: parts of other settings are not gone on with.
    monkeypatch.setattr(oddity, "STEPS", (30,))
    other = run()
    assert len(trained) == 5
    assert other["parts"]["01-seed10"]["ordinary"].keys() == {"30"}
