"""The recorded benchmark of the book is one of this code, and has what its page shows. No speed is judged here."""

import hashlib
import json
import math

import pytest
import torch

from conftest import ROOT

RECORD = ROOT / "book" / "assets" / "bench.json"
SOURCE = sorted((ROOT / "tests" / "bench").glob("*.py"))


@pytest.fixture
def neighbours(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "bench"))
    import neighbours

    return neighbours


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


@pytest.mark.parametrize("pixels", [64, 784])
def test_geodesics_together_are_those_one_at_a_time(record, pixels):
    found = record["results"][f"geodesics by energy, {pixels} pixels"]
    assert found["ratio to one at a time"] == pytest.approx(
        found["together, geodesics/s"] / found["one at a time, geodesics/s"], rel=1e-6
    )
    assert found["share of verdicts alike"] > 0.9
    assert found["largest relative difference of lengths"] < 0.01


def test_the_record_names_the_library_and_the_lengths_that_it_reached(record):
    (name,) = [name for name in record["results"] if name.startswith("geodesics against ")]
    found = record["results"][name]
    assert name.split()[-1][0].isdigit()
    assert {"its 150 steps: ratio of seconds", "its 150 steps: mean length over ours, less 1"} <= set(found)


def test_benches_of_geodesics_run_at_a_tiny_size(neighbours):
    sizes = neighbours.oddity.Sizes(train=60, held_out=10, codes=60, steps=30, hidden=(8,), centres=8)
    metric, mean, codes = neighbours.decoder(sizes)
    by_energy = neighbours.together(metric, codes, n=3, rounds=1)
    by_boundary = neighbours.together(mean, codes, n=2, rounds=1, solve=neighbours.by_boundary, nodes=(16, 32))
    for found in (by_energy, by_boundary):
        assert all(map(math.isfinite, found.values())), found
        assert found["share of verdicts alike"] == 1
        assert found["largest relative difference of lengths"] < 1e-6
        assert found["ratio to one at a time"] > 0


def test_the_shipped_decoder_is_measured_in_float64(neighbours):
    metric, codes = neighbours.shipped()
    assert metric.decode(codes[:2]).dtype == torch.float64
    assert metric.decode(codes[:2]).shape == (2, 2 * 784)


def test_the_bench_of_transport_runs_at_a_tiny_size(neighbours):
    found = neighbours.transport((100, 200), steps=2)
    assert all(math.isfinite(value) for value in found.values()), found
    assert {"exact plan over map, 200 points", "entropic plan over map, 200 points"} <= set(found)


def test_the_library_solves_the_same_curves(neighbours):
    sizes = neighbours.oddity.Sizes(train=60, held_out=10, codes=60, steps=30, hidden=(8,), centres=8)
    metric, _, codes = neighbours.decoder(sizes)
    found = neighbours.against(metric, codes, n=3, rounds=1, steps=(400,))
    assert abs(found["its 400 steps: mean length over ours, less 1"]) < 0.01, found
