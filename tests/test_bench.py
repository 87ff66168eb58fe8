"""The recorded benchmark of the book is one of this code, and has what its page shows. Nothing is timed here."""

import hashlib
import json

import pytest

from conftest import ROOT

RECORD = ROOT / "book" / "assets" / "bench.json"
SOURCE = sorted((ROOT / "tests" / "bench").glob("*.py"))


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


def test_the_record_was_made_by_these_benches(record):
    now = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCE)).hexdigest()[:12]
    assert record["source"] == now, "the benches have changed; measure again with: make bench RECORD=1"


def test_the_record_says_where_it_was_made(record):
    assert record["command"].startswith("make bench RECORD=1")
    assert record["hardware"]
    assert record["commit"]


@pytest.mark.parametrize("width", [16, 64])
def test_training_is_compared_with_the_example_and_with_the_peak(record, width):
    found = record["results"][f"training, width {width}"]
    assert found["ratio to the example"] == pytest.approx(
        found["ours, images/s"] / found["example, images/s"], rel=1e-6
    )
    assert 0 < found["share of that peak"] < found["share of the peak, had they all the time"] < 1


def test_reading_costs_are_those_of_the_limits(record):
    found = record["results"]["reading the book"]
    assert found["its HTML alone at most, MB"] < 2
    assert found["all of the HTML, MB"] < 40
    assert found["slowest first paint, s"] < 1
