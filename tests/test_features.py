"""The shipped feature networks: they know what they say, metrics on them are calibrated, damage is noticed."""

import itertools
import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from conftest import ROOT
from hollow import images as photographs
from hollow import quality
from hollow.faces import FACTORS, portraits, render, sample_factors
from hollow.files import read_record, write_record
from hollow.quality import factors, making, network
from hollow.quality.calibration import SIZES, STRENGTHS, calibrate
from hollow.quality.corruptions import CORRUPTIONS

CELEBA20K = ROOT.parent / "shared" / "data" / "celeba64_train20k.zip"
SHIPPED = ROOT / "data" / "features"


@pytest.fixture(scope="module")
def known():
    """Return held-out portraits in [-1, 1] and their factors."""
    found = sample_factors(400, torch.Generator().manual_seed(2**31 + 1))
    return quality.unit(render(found)), found


# The shipped files


@pytest.mark.parametrize("name", network.NAMES)
def test_shipped_files_are_small_and_say_where_they_come_from(name):
    record = quality.load(name).manifest
    weights = {k: v for k, v in load_file(SHIPPED / f"{name}.safetensors").items() if not k.startswith("reference.")}
    assert all(value.dtype == torch.float16 for value in weights.values())
    assert sum(2 * value.numel() for value in weights.values()) < 1e6
    assert record["bytes"] == (SHIPPED / f"{name}.safetensors").stat().st_size
    assert record["steps"] == making.STEPS[name]
    assert record["command"].startswith(f"hollow features {name}")
    assert {"seed", "images", "hardware", "commit", "torch", "seconds", "created", "licence"} <= set(record)


def test_the_folder_holds_the_two_networks_and_nothing_else():
    files = sorted(path.name for path in SHIPPED.iterdir())
    assert files == sorted(f"{name}{end}" for name in network.NAMES for end in (".json", ".safetensors"))
    assert sum((SHIPPED / name).stat().st_size for name in files) < 1.5e6


def test_the_statistics_of_photographs_are_features_and_no_images():
    reference = quality.load("photographs").reference
    assert reference.mean.shape == (64,)
    assert reference.cov.shape == (64, 64)
    assert reference.rows.shape == (3500, 64)
    assert reference.n == 16_000
    kept = {key for key in load_file(SHIPPED / "photographs.safetensors") if key.startswith("reference.")}
    assert kept == {"reference.mean", "reference.cov", "reference.rows"}
    floor = quality.frechet_distance(reference, reference.rows)
    assert 0 < floor < 1.5
    painted = quality.load("photographs").features(quality.unit(portraits(500, seed=5)[0]))
    assert quality.frechet_distance(reference, painted) > 20 * floor  # portraits are no photographs
    assert quality.load("portraits").reference is None


# The factors


def test_every_factor_is_read_where_it_is_visible(known):
    """As the manifest says, but for the noise of 400 portraits; shuffled answers do not pass."""
    images, found = known
    loaded = quality.load("portraits")
    recorded = loaded.manifest["scores"]
    assert set(recorded) == {factor.name for factor in FACTORS}
    assert min(said["score"] for said in recorded.values()) >= 0.9
    mask = factors.seen(found)
    with torch.no_grad():
        outputs = loaded.network.head(loaded.features(images))
    scores, shuffled = factors.scores(outputs, found, mask), factors.scores(outputs.roll(1, 0), found, mask)
    for factor in FACTORS:
        said = recorded[factor.name]
        assert said["measure"] == ("balanced accuracy" if factor.probs else "R2")
        assert scores[factor.name] == pytest.approx(said["score"], abs=0.05), factor.name
        assert float(mask[factor.name].float().mean()) == pytest.approx(said["visible"], abs=0.06), factor.name
        assert shuffled[factor.name] < 0.5, factor.name


def test_factors_are_in_their_units_and_ranges(known):
    images, found = known
    read = quality.load("portraits").factors(images)
    for factor in FACTORS:
        assert read[factor.name].shape == (400,)
        if factor.probs:
            assert (read[factor.name] == found[factor.name]).float().mean() > 0.9
            continue
        assert read[factor.name].min() >= factor.lo
        assert read[factor.name].max() <= factor.hi
        error = (read[factor.name] - found[factor.name]).abs()
        if factor.name in factors.HUES:
            error = torch.minimum(error, 1 - error)
        assert error.median() < 0.12 * (factor.hi - factor.lo), factor.name


def test_targets_and_their_decoding_are_inverse():
    found = sample_factors(500, torch.Generator().manual_seed(1))
    columns = []
    for factor in FACTORS:
        want = factors.target(factor, found[factor.name])
        columns.append(torch.nn.functional.one_hot(want, factor.classes).float() if factor.probs else want)
        if not factor.probs:
            assert want.mean(0).abs().max() < 0.2
            assert (want.var(0) - 1).abs().max() < 0.2
    decoded = factors.decode(torch.cat(columns, 1))
    for name, value in found.items():
        torch.testing.assert_close(decoded[name], value, atol=1e-4, rtol=0)


def test_what_cannot_be_seen_is_told_by_painting_it_again():
    found = {name: value[:1].repeat(4) for name, value in sample_factors(1, torch.Generator().manual_seed(3)).items()}
    found["light_strength"] = torch.tensor([0.0, 0.01, 0.5, 1.0])
    assert factors.seen(found)["light_direction"].tolist() == [False, False, True, True]
    assert factors.seen(found)["gaze"].all()


def test_scores_of_known_answers():
    found = sample_factors(3000, torch.Generator().manual_seed(1))
    mask = {name: torch.ones(3000, dtype=torch.bool) for name in found}
    outputs = torch.zeros(3000, factors.OUTPUTS)
    blind = factors.scores(outputs, found, mask)
    for factor in FACTORS:
        expected = 1 / factor.classes if factor.probs else 0  # always the same answer
        assert blind[factor.name] == pytest.approx(expected, abs=0.02), factor.name


# Calibration


def ordered(calibration, strengths=STRENGTHS):
    """Return by corruption and metric whether it gets worse at every step from the untouched images on."""
    better = {"frechet": -1, "kernel": -1, "precision": 1, "recall": 1, "density": 1, "coverage": 1}
    found = {}
    for name, by_strength in calibration["corruptions"].items():
        rows = [calibration["real"], *(by_strength[str(s)] for s in strengths)]
        for metric, sign in better.items():
            values = [sign * row[metric] for row in rows]
            found[name, metric] = all(a > b for a, b in itertools.pairwise(values))
    return found


@pytest.mark.parametrize("name", network.NAMES)
def test_recorded_calibration_is_as_it_should_be(name):
    record = quality.load(name).manifest["calibration"]
    order = ordered(record)
    assert all(order[corruption, metric] for corruption in CORRUPTIONS for metric in ("frechet", "kernel"))
    for spoilt in record["corruptions"].values():  # in the others the weakest corruption may hide in the noise
        assert spoilt["0.4"]["coverage"] < min(spoilt["0.2"]["coverage"], record["real"]["coverage"]) - 0.1
        assert spoilt["0.4"]["recall"] < record["real"]["recall"] - 0.05
    half, dark = record["half"], record["dark"]
    assert dark["recall"] < half["recall"] - 0.03  # kinds are missing,
    assert dark["precision"] > half["precision"] - 0.03  # and what is there is fine
    sizes = [record["sizes"][str(s)] for s in SIZES]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] / sizes[-1] == pytest.approx(SIZES[-1] / SIZES[0], rel=0.35)  # the bias falls like 1 / n
    assert abs(record["real"]["kernel"]) < 0.01


@pytest.mark.parametrize("name", ["portraits", *(["photographs"] if CELEBA20K.exists() else [])])
def test_calibration_can_be_done_again(name, tmp_path, known):
    loaded = quality.load(name)
    if name == "portraits":
        images, real = known[0], loaded.features(quality.unit(portraits(400, seed=7)[0]))
    else:
        pixels = photographs.load(CELEBA20K, cache=tmp_path, limit=400, progress=False).pixels
        images, real = quality.unit(torch.from_numpy(pixels)), loaded.reference.rows[:400]
    found = calibrate(loaded, real, images)
    order = ordered(found, STRENGTHS[1:])  # 400 images cannot tell the weakest from none
    assert all(order[corruption, "frechet"] for corruption in CORRUPTIONS)
    assert found["dark"]["recall"] < found["half"]["recall"]
    upside_down = calibrate(loaded, loaded.features(CORRUPTIONS["noise"](images, 0.4)), images)
    assert not all(ordered(upside_down).values())  # negative control: against spoilt images, spoiling is no loss


def test_kinds_of_portraits_that_are_missing_are_seen_by_recall_and_not_by_precision():
    loaded, n = quality.load("portraits"), 500
    real = quality.Manifold(loaded.features(quality.unit(portraits(n, seed=7)[0])))
    found = sample_factors(n, torch.Generator().manual_seed(2**31 + 2))
    whole = real.compare(loaded.features(quality.unit(render(found))))
    one = {**found, "skin": found["skin"] / 4, "background_light": found["background_light"] / 4}
    dropped = real.compare(loaded.features(quality.unit(render(one))))
    assert dropped.recall < whole.recall - 0.2
    assert dropped.coverage < whole.coverage - 0.1
    assert whole.precision - dropped.precision < 0.1  # dark ends of a range are thin in the real portraits, too


# Bad input

IMAGES = torch.zeros(2, 3, 64, 64)
BAD_IMAGES = [
    (IMAGES + 1.5, "images range from 1.5 to 1.5; expected finite values in [-1, 1]"),
    (IMAGES * torch.nan, "images range from nan to nan; expected finite values in [-1, 1]"),
    (IMAGES[:, :1], "images have shape (2, 1, 64, 64); expected (n, 3, 64, 64) with n at least 1"),
    (IMAGES[:0], "images have shape (0, 3, 64, 64); expected (n, 3, 64, 64) with n at least 1"),
    (IMAGES[0], "images have shape (3, 64, 64); expected (n, 3, 64, 64) with n at least 1"),
    (IMAGES.byte(), "images are torch.uint8; expected floats in [-1, 1], as hollow.quality.unit makes them"),
]


@pytest.mark.parametrize(("images", "said"), BAD_IMAGES)
def test_bad_images_are_one_clear_line(images, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        quality.load("portraits").features(images)


def test_the_number_of_images_at_once_does_not_matter(known):
    loaded = quality.load("portraits")
    whole = loaded.features(known[0][:50])
    assert whole.shape == (50, 64)
    assert whole.dtype == torch.float32
    torch.testing.assert_close(loaded.features(known[0][:50], batch=7), whole, atol=1e-4, rtol=1e-4)


def test_photographs_have_no_factors():
    with pytest.raises(ValueError, match="the network of photographs knows no factors; load the one of portraits"):
        quality.load("photographs").factors(IMAGES)


def test_a_missing_or_damaged_network_names_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"there is no .*portraits.json; restore it or make it again: hollow feat"):
        quality.load("portraits", tmp_path)
    with pytest.raises(ValueError, match="hollow features photographs --images FOLDER_OR_ZIP"):
        quality.load("photographs", tmp_path)
    with pytest.raises(ValueError, match="unknown feature network 'faces'; expected portraits or photographs"):
        quality.load("faces")
    for name in ("portraits.json", "portraits.safetensors"):
        shutil.copy(SHIPPED / name, tmp_path)
    path, record = tmp_path / "portraits.safetensors", read_record(tmp_path / "portraits.json")
    write_record(path.with_suffix(".json"), record | {"outputs": 3})
    with pytest.raises(ValueError, match="does not fit its manifest"):
        quality.load("portraits", tmp_path)
    path.with_suffix(".json").write_text(json.dumps(record | {"n_held_out": 3}))
    with pytest.raises(ValueError, match=r"cannot be read .its seal is not the hash of what it says"):
        quality.load("portraits", tmp_path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        quality.load("portraits", tmp_path)
    write_record(path.with_suffix(".json"), record)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"has SHA-256 .* not that of its manifest; restore it or make it again"):
        quality.load("portraits", tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"there is no .*portraits.safetensors"):
        quality.load("portraits", tmp_path)


def test_importing_quality_is_light():
    code = "import sys, hollow.quality; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hollow.quality.distances" in loaded
    assert not {"torchmetrics", "torchvision", "matplotlib", "sklearn", "hollow.learning"} & set(loaded)
