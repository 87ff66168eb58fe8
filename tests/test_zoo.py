"""Shipped models: the table, the manifests and the files agree, and damage is noticed."""

import shutil

import pytest
import torch

from hollow import experiments, zoo
from hollow.experiments import BUDGET_MB, TABLE
from hollow.files import read_record, write_record

ROWS = TABLE.values()


def names(row):
    return [row.name, *(f"{row.name}@{step}" for step in row.snapshots)]


def test_the_table_fits_the_budget():
    assert sum(row.size_mb for row in ROWS) <= BUDGET_MB
    for row in ROWS:
        weights = 2 * sum(p.numel() for p in row.generator(round(16 * row.widen)).parameters()) * len(names(row)) / 1e6
        assert weights <= row.size_mb, row.name
        assert row.size_mb <= 1.05 * weights, row.name


def test_the_folder_holds_what_the_table_says_and_nothing_else():
    assert zoo.available() == sorted(name for row in ROWS for name in names(row))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_shipped_files_are_those_that_the_table_describes(row):
    total = 0
    for name in names(row):
        model, record = zoo.load(name), zoo.manifest(name)
        assert (record["prior"], record["dim"], record["arch"]) == (row.prior, row.dim, row.arch)
        assert record["preset"] == "lite"
        assert record["steps"] == (int(name.split("@")[1]) if "@" in name else 4000)
        assert record["recipe"]["steps"] >= 4000
        assert (record["images"] == "procedural") == (row.images == "portraits")
        total += record["bytes"]
        assert model.generator.dim == row.dim
    assert total / 1e6 <= row.size_mb


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_shipped_models_draw_varied_pictures_and_an_untrained_one_does_not_look_alike(row):
    model = zoo.load(row.name)
    x = model.decode(model.prior.sample(64, torch.Generator().manual_seed(0)))
    assert x.shape == (64, 3, 64, 64)
    assert x.std(0).mean() > 0.15  # samples differ from one another
    edge, inside = x[:, :, :2].std(0).mean(), x[:, :, 20:44, 20:44].mean((0, 1))
    assert edge > 0.05
    assert inside.std() > 0.05  # the average picture has a face in the middle, not a flat colour


def test_snapshots_are_in_order():
    assert len(TABLE["normal"].snapshots) == 4
    steps = [step for step, _ in zoo.snapshots("normal")]
    assert steps == [*TABLE["normal"].snapshots, 4000]
    assert zoo.snapshots("uniform") == [(4000, "uniform")]


def test_latents_of_any_leading_shape():
    model = zoo.load("normal")
    z = model.prior.sample(6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.decode(z.view(2, 3, -1)).flatten(0, 1), model.decode(z))


@pytest.fixture
def copy(tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(zoo.folder() / f"uniform{suffix}", tmp_path)
    return tmp_path


@pytest.mark.parametrize("keep", [0, 7, 100, 900_000])
def test_truncated_weights(copy, keep):
    path = copy / "uniform.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"have SHA-256 .* the manifest says"):
        zoo.load("uniform", copy)


def test_a_flipped_bit(copy):
    path = copy / "uniform.safetensors"
    data = bytearray(path.read_bytes())
    data[500_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="the manifest says"):
        zoo.load("uniform", copy)


def test_missing_files_name_the_mend(copy):
    (copy / "uniform.safetensors").unlink()
    with pytest.raises(ValueError, match="are missing although their manifest is there"):
        zoo.load("uniform", copy)
    with pytest.raises(ValueError, match="make it with: hollow train cauchy, then name its folder"):
        zoo.load("cauchy", copy)
    with pytest.raises(ValueError, match="unknown experiment 'gauss'; expected one of normal"):
        zoo.load("gauss", copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda r: r.update(dim=50), "do not fit their manifest"), (lambda r: r["recipe"].update(width=8), "do not fit")],
)
def test_a_manifest_of_another_model(copy, change, words):
    path = copy / "uniform.json"
    record = read_record(path)
    change(record)
    write_record(path, record)
    with pytest.raises(ValueError, match=words) as raised:
        zoo.load("uniform", copy)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", zoo.FIELDS)
def test_a_field_of_the_wrong_kind(copy, key):
    path = copy / "uniform.json"
    for value in (None, [1], 2.5):
        write_record(path, {**read_record(path), key: value})
        with pytest.raises(ValueError, match=rf"manifest .* cannot be read \(it lacks a proper {key}\)"):
            zoo.manifest("uniform", copy)


def test_a_manifest_that_says_something_else_than_it_did(copy):
    path = copy / "uniform.json"
    text = path.read_text()
    path.write_text(text.replace('"prior": "uniform"', '"prior": "normal"'))
    with pytest.raises(ValueError, match=r"manifest .* cannot be read \(its seal is not the hash of what it says\)"):
        zoo.load("uniform", copy)
    path.write_text(text)
    assert zoo.load("uniform", copy).name == "uniform"


@pytest.mark.parametrize("text", ['{"name": ', "{}", "[]", "3"])
def test_an_unreadable_manifest(copy, text):
    (copy / "uniform.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest .* cannot be read"):
        zoo.load("uniform", copy)


def test_latents_that_are_not_finite():
    with pytest.raises(ValueError, match="latents hold NaN or infinity"):
        zoo.load("normal").decode(torch.full((2, 100), torch.nan))


def test_a_missing_snapshot_names_those_that_exist(copy):
    with pytest.raises(ValueError, match=r"its snapshots: 250, 500, 1000, 2000\); make it with: hollow train normal"):
        zoo.load("normal@123", copy)


def test_unknown_names_and_bad_recipes():
    with pytest.raises(ValueError, match="unknown experiment 'x'; expected one of normal, uniform"):
        experiments.get("x")
    with pytest.raises(ValueError, match="unknown preset 'x'; expected one of smoke, lite, paper"):
        experiments.recipe("x")
    with pytest.raises(ValueError, match="steps=0; expected at least 1"):
        experiments.Recipe(steps=0)
    with pytest.raises(ValueError, match="unknown init 'xavier'"):
        experiments.Recipe(init="xavier")
