"""The ablation: its odd start, its record."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hollow import ablation, quality
from hollow.dcgan import Generator, init_he

RECORD = Path(__file__).parents[1] / "book" / "assets"


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny(monkeypatch, pixels):
    """Two variants of a few steps, recorded on noise."""
    recipe = replace(ablation.LITE, width=4, batch=8, n_images=40)
    monkeypatch.setattr(ablation, "POINTS", (0, 1, 2))
    monkeypatch.setattr(ablation, "PICTURES", (1, 2))
    monkeypatch.setattr(ablation, "WINDOW", 2)
    monkeypatch.setattr(ablation, "SAMPLES", 16)
    monkeypatch.setattr(ablation, "portraits", lambda n, seed, progress: (pixels, {}))
    variants = tuple(replace(v, recipe=recipe) for v in ablation.VARIANTS if v.name.startswith("cauchy"))
    monkeypatch.setattr(ablation, "VARIANTS", variants)
    return variants


def test_unscaled_is_he_without_the_median_norm(tiny, pixels):
    scaled, unscaled = (ablation.start(variant, pixels) for variant in tiny)
    init = torch.Generator().manual_seed(unscaled._stream(3, 0))
    plain = Generator(100, width=4)
    init_he(plain, init)
    for network in (unscaled.generator, unscaled.averaged):
        for name, weight in plain.state_dict().items():
            torch.testing.assert_close(network.state_dict()[name], weight, rtol=1e-5, atol=0)
    first = next(scaled.generator.parameters())
    assert not torch.allclose(first, next(plain.parameters()), rtol=0.5)


def test_a_record_is_kept_and_a_changed_recipe_runs_again(tiny, tmp_path, monkeypatch):
    ablation.main(["--out", str(tmp_path)])
    first = json.loads((tmp_path / "ablation.json").read_text())
    run = first["runs"]["cauchy"]
    assert [point["step"] for point in run["points"]] == [0, 1, 2]
    assert [loss["step"] for loss in run["losses"]] == [2]
    assert first["command"] == f"python -m hollow.ablation --out {tmp_path}"

    monkeypatch.setattr(ablation, "VARIANTS", (tiny[0], replace(tiny[1], recipe=replace(tiny[1].recipe, lr=1e-4))))
    ran = []
    again = ablation.run
    monkeypatch.setattr(ablation, "run", lambda variant, *a, **kw: ran.append(variant.name) or again(variant, *a, **kw))
    ablation.main(["--out", str(tmp_path)])
    assert ran == ["cauchy-unscaled"]
    assert json.loads((tmp_path / "ablation.json").read_text())["runs"]["cauchy"] == run

    sheet = ablation.pictures(tmp_path, "cauchy")
    _, kept = again(tiny[0], ablation.portraits(40, 0, progress=False)[0])
    assert sheet.shape == (2, 8, 3, 64, 64)
    assert (quality.unit(sheet) - torch.stack(kept)).abs().max() < 0.02


def test_the_record_of_the_book_is_that_of_todays_recipes():
    runs = json.loads((RECORD / "ablation.json").read_text())["runs"]
    assert {name: run["key"] for name, run in runs.items()} == {v.name: v.key() for v in ablation.VARIANTS}
    for name in runs:
        assert ablation.pictures(RECORD, name).shape == (len(ablation.PICTURES), 8, 3, 64, 64)
