"""The recorded quality: the grid of points, the table, its errors, and what a stopped or stale recording does."""

import math
import re

import pytest
import torch

from hollow import experiments, interpolations, matrix, measure, priors, zoo
from hollow.machine import SOURCE
from hollow.measure import Measured, Point, Table, grid, run
from hollow.measure.points import ALONG

MODELS = {point.model for point in grid()}
RECORD = SOURCE / "book/assets/quality.csv"


def prior_of(point):
    row = experiments.get(point.model.split("@")[0])
    return priors.get(row.prior, row.dim)


def test_the_grid_has_every_model_and_every_path_that_exists():
    assert set(zoo.available()) == MODELS
    for name in ALONG:
        prior = experiments.get(name).prior
        exist = {path for path in interpolations.names() if matrix.expected(prior, path)[0]}
        assert {point.law for point in grid([name]) if (point.kind, point.at) == ("path", 0.5)} == exist
    assert len(set(grid())) == len(grid())
    assert len({point.seed for point in grid()}) == len(grid())


@pytest.mark.parametrize("point", [p for p in grid() if p.at in (0, 0.5, 1, 4)], ids=str)
def test_every_kind_of_point_can_be_drawn(point):
    prior = prior_of(point)
    z = point.latents(prior, 64, torch.Generator().manual_seed(0))
    assert z.shape == (64, prior.dim)
    assert bool(torch.isfinite(z).all())


def test_points_have_the_laws_that_they_name():
    prior, n = priors.get("normal"), 20_000

    def norms(point):
        z = point.latents(prior, n, torch.Generator().manual_seed(1))
        return torch.linalg.vector_norm(z, dim=1)

    shell = prior.median_norm
    assert norms(Point("normal")).median() == pytest.approx(shell, rel=0.005)
    assert norms(Point("normal", "radius", at=2.0)) == pytest.approx(2 * shell)
    assert norms(Point("normal", "path", "linear", 0.5)).median() == pytest.approx(shell / 2**0.5, rel=0.005)
    assert norms(Point("normal", "average", "linear", 4)).median() == pytest.approx(shell / 2, rel=0.005)
    assert norms(Point("normal", "average", "normalized", 4)).median() == pytest.approx(shell, rel=0.005)
    assert norms(Point("normal", "law", "scaled(normal, scale=0.1)")).median() == pytest.approx(shell / 10, rel=0.005)


def test_a_path_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="does not exist"):
        Point("discrete", "path", "cauchy-linear", 0.5).latents(priors.get("discrete"), 2, torch.Generator())


# ---- the table

ROW = Measured(10_000, 0.12345, 0.001, 0.2, 0.01)


def table():
    return Table({Point("normal", "path", "linear", 0.5): {"frechet": ROW}}, {"normal": "abc"}, "hollow measure", "123")


def test_a_table_is_read_as_it_was_written(tmp_path):
    measure.write(table(), tmp_path / "t.csv")
    assert measure.read(tmp_path / "t.csv") == table()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("model,kind", "kind,model"),
        lambda text: text.replace("0.12345", "0.12346"),
        lambda text: text.rsplit(",", 1)[0],
        lambda text: text.split("\n", 1)[1],
        lambda text: "",
    ],
)
def test_a_damaged_table_names_the_command(tmp_path, damage):
    path = tmp_path / "t.csv"
    measure.write(table(), path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match="is no whole table of measured points") as error:
        measure.read(path)
    assert "hollow measure --out" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_table_or_value_names_the_command(tmp_path):
    with pytest.raises(ValueError, match="hollow measure --out"):
        measure.read(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="measure it with: hollow measure"):
        table()[Point("normal"), "frechet"]


def test_changed_weights_are_noticed():
    assert table().stale({"normal": "abc", "other": "def"}) == []
    assert table().stale({"normal": "abd"}) == ["normal"]
    assert table().stale({}) == ["normal"]


# ---- estimates and their errors


@pytest.fixture
def small(monkeypatch):
    """Sizes at which a point takes a moment."""
    for name, value in (("SMALL", 400), ("REFERENCE", 500), ("BATCH", 50)):
        monkeypatch.setattr(run, name, value)
    caches = (run._network, run.real, run._known)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


POINTS = [Point("normal"), Point("normal", "radius", at=0.25)]


def test_a_second_estimate_is_where_the_first_says(small):
    first = measure.measure(POINTS[0], n=1000)
    again = [measure.quick(POINTS[0], seed=seed) for seed in (1, 2, 3)]
    assert set(first) == set(again[0])
    assert all(first[metric].surprise(value) < 6 for quick in again for metric, value in quick.items())
    for metric, row in first.items():
        assert 0 < row.error < row.small_error, metric
        assert all(map(math.isfinite, (row.value, row.small))), metric
    # the negative control: another place of latent space is told apart
    elsewhere = measure.quick(POINTS[1], seed=1)
    assert sum(first[metric].surprise(value) > 6 for metric, value in elsewhere.items()) >= 4


def test_the_error_of_a_mean_is_that_of_the_textbook(small, monkeypatch):
    features = torch.randn(2000, 8, generator=torch.Generator().manual_seed(0)) * 3
    monkeypatch.setattr(run, "compare", lambda f, images: {"mean": float(f[:, 0].mean())})
    found = measure.evaluate(run.Sample(features, {}), "portraits", torch.Generator().manual_seed(1))["mean"]
    assert found.error == pytest.approx(3 / 2000**0.5, rel=0.6)  # ten subsets tell it to a quarter
    assert found.small_error == pytest.approx(3 / 400**0.5, rel=0.8)


def test_too_few_images_are_refused(small):
    with pytest.raises(ValueError, match="expected more than 400"):
        measure.measure(POINTS[0], n=400)


def test_a_stopped_recording_goes_on(small, tmp_path, monkeypatch):
    path, done, whole = tmp_path / "t.csv", [], run.measure

    def counted(point, **options):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(point)
        return whole(point, **options)

    monkeypatch.setattr(run, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        measure.record(path, n=500, jobs=1, points=POINTS)
    assert list(measure.read(path).points) == POINTS[:1]
    monkeypatch.setattr(run, "measure", whole)
    resumed = measure.record(path, n=500, jobs=1, points=POINTS)
    fresh = measure.record(tmp_path / "other.csv", n=500, jobs=1, points=POINTS)
    assert resumed.points == fresh.points or measure.read(path) == measure.read(tmp_path / "other.csv")
    # weights that have changed since are measured again, the others are kept
    changed = measure.read(path)
    changed.hashes["normal"] = "0" * 12
    measure.write(changed, path)
    assert measure.read(path).stale(measure.hashes()) == ["normal"]
    measure.record(path, n=500, jobs=1, points=POINTS)
    assert measure.read(path).points == measure.read(tmp_path / "other.csv").points


def test_the_recorded_table_is_whole_and_of_these_networks():
    table = measure.load(RECORD)
    assert set(table.points) == set(grid())
    assert {m.n for metrics in table.points.values() for m in metrics.values()} == {measure.N}
    assert all(set(metrics) == set(table.points[Point("normal")]) for metrics in table.points.values())
    assert all(math.isfinite(m.value) and m.error >= 0 for metrics in table.points.values() for m in metrics.values())
    assert table.made_by == "hollow measure"
    assert re.fullmatch("[0-9a-f]{12}", table.commit)


@pytest.mark.parametrize("change", ["hash", "point"])
def test_a_record_of_other_weights_or_without_a_point_is_refused(tmp_path, change):
    table = measure.read(RECORD)
    if change == "hash":
        table.hashes["cauchy"] = "0" * 12
    else:
        del table.points[Point("cauchy")]
    measure.write(table, tmp_path / "t.csv")
    with pytest.raises(ValueError, match=rf"cauchy.*hollow measure --out {re.escape(str(tmp_path))}"):
        measure.load(tmp_path / "t.csv")


def test_manifests_say_what_was_recorded():
    table = measure.load(RECORD)
    for name in zoo.available():
        said, recorded = zoo.manifest(name)["quality"], table.points[Point(name)]
        assert said == {"n": measure.N} | {metric: float(f"{m.value:.5g}") for metric, m in recorded.items()}
