"""Precision, recall, density, coverage and realism: the package prdc, brute force, known answers, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc

from hollow import quality
from hollow.quality import manifolds

NAMES = ("precision", "recall", "density", "coverage")


def sample(n, d, seed, scale=1.0, shift=0.0):
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=stream, dtype=torch.float64) * scale + shift


def ours(real, fake, k):
    found = quality.Manifold(real, k, k).compare(fake)
    return {name: getattr(found, name) for name in NAMES}


@pytest.mark.parametrize(
    ("n", "m", "d", "k", "scale"),
    [(300, 200, 8, 5, 1.2), (200, 300, 3, 3, 0.5), (60, 50, 64, 1, 1.0), (1200, 2100, 4, 10, 1.5)],
)
def test_they_are_those_of_prdc(n, m, d, k, scale):
    real, fake = sample(n, d, 1), sample(m, d, 2, scale, 0.3)
    expected = compute_prdc(real.numpy(), fake.numpy(), k)
    assert ours(real, fake, k) == pytest.approx(expected, rel=1e-12)  # block by block: n and m go beyond one block
    assert ours(real.float() + 5, fake.float() + 5, k) == pytest.approx(expected, rel=1e-4)
    assert quality.precision_recall(real, fake, k) == (expected["precision"], expected["recall"])
    assert quality.density_coverage(real, fake, k) == pytest.approx((expected["density"], expected["coverage"]))
    other = compute_prdc(real.numpy(), fake.numpy(), k + 1)
    assert ours(real, fake, k) != pytest.approx(other, rel=1e-4)  # another k is noticed


def test_they_are_those_of_prdc_where_images_repeat():
    real = sample(100, 4, 1).repeat(2, 1)
    fake = sample(50, 4, 2).repeat(2, 1)
    assert ours(real, fake, 3) == pytest.approx(compute_prdc(real.numpy(), fake.numpy(), 3), rel=1e-12)


def test_one_pass_serves_two_numbers_of_neighbours():
    real, fake = sample(300, 5, 1), sample(200, 5, 2)
    found = quality.Manifold(real, 3, 5).compare(fake)
    assert (found.precision, found.recall) == quality.precision_recall(real, fake, 3)
    assert (found.density, found.coverage) == quality.density_coverage(real, fake, 5)
    assert torch.equal(found.realism, quality.realism(real, fake, 3))
    manifold = quality.Manifold(real)
    assert manifold.precision_recall(fake) == (found.precision, found.recall)
    assert manifold.density_coverage(fake) == (found.density, found.coverage)


def test_realism_by_brute_force():
    real, images, k = sample(80, 3, 1), sample(30, 3, 2, 1.5), 3
    distances = torch.cdist(real, real).sort(1).values[:, k]  # the nearest is the image itself
    kept = distances <= distances.median()
    expected = torch.stack([(distances[kept] / (x - real[kept]).norm(dim=1)).max() for x in images])
    assert quality.realism(real, images, k) == pytest.approx(expected, rel=1e-9)
    assert quality.realism(real, real[kept][:1]).isinf().all()  # a real image itself


def test_realism_falls_on_the_way_out():
    real = sample(2000, 6, 1)
    away = torch.zeros(5, 6, dtype=torch.float64)
    away[:, 0] = torch.tensor([2.0, 3, 4, 8, 16])
    scores = quality.realism(real, away).tolist()
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.2
    assert quality.realism(real, sample(500, 6, 2)).median() > 0.9
    assert quality.realism(real, away[:1]).shape == (1,)


def test_dropped_modes_are_seen_by_recall_and_coverage_and_not_by_precision_and_density():
    """Real images of two kinds; generated ones of one kind: all are fine, half is missing. Then the other way round."""
    first, second = sample(1000, 6, 1, shift=-4), sample(1000, 6, 2, shift=4)
    both = torch.cat([first, second])
    same, one = torch.cat([sample(1000, 6, 3, shift=-4), sample(1000, 6, 4, shift=4)]), sample(2000, 6, 5, shift=-4)
    floor, dropped = ours(both, same, 3), ours(both, one, 3)
    assert dropped["precision"] == pytest.approx(floor["precision"], abs=0.05)
    assert dropped["density"] == pytest.approx(floor["density"], abs=0.1)
    assert dropped["recall"] == pytest.approx(floor["recall"] / 2, abs=0.05)
    assert dropped["coverage"] == pytest.approx(floor["coverage"] / 2, abs=0.05)
    invented = ours(first, same, 3)
    assert invented["precision"] == pytest.approx(floor["precision"] / 2, abs=0.05)
    assert invented["recall"] == pytest.approx(floor["recall"], abs=0.1)


def test_two_samples_of_one_law_have_density_one_and_the_expected_coverage():
    n, k = 3000, 5
    found = ours(sample(n, 4, 1), sample(n, 4, 2), k)
    assert found["density"] == pytest.approx(1, abs=0.03)
    assert found["coverage"] == pytest.approx(1 - 0.5**k, abs=0.01)  # Naeem et al. 2020, for equal numbers and large n


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), d=st.integers(2, 8), k=st.integers(1, 4))
def test_axes_scale_and_order_do_not_matter(seed, d, k):
    real, fake = sample(50, d, seed), sample(40, d, seed + 1, 1.2)
    stream = torch.Generator().manual_seed(seed)
    turn = 3 * torch.linalg.qr(torch.randn(d, d, generator=stream, dtype=torch.float64)).Q
    expected = ours(real, fake, k)
    order = torch.randperm(40, generator=stream)
    assert ours(real @ turn + 2, (fake @ turn + 2)[order], k) == pytest.approx(expected)
    assert ours(real[torch.randperm(50, generator=stream)], fake, k) == pytest.approx(expected)
    assert quality.realism(real @ turn, fake @ turn, k) == pytest.approx(quality.realism(real, fake, k))


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    real, fake = sample(130, 4, 1), sample(170, 4, 2)
    expected = ours(real, fake, 3)
    monkeypatch.setattr(manifolds, "BLOCK", 37)
    assert ours(real, fake, 3) == expected


GOOD = sample(50, 4, 0)
BAD = [
    (GOOD[:3], GOOD, "3 real features are too few; the 3 nearest others are looked for, so at least 4 are needed"),
    (GOOD, GOOD[:3], "3 generated features are too few; recall looks for the 3 nearest others, so at least 4"),
    (GOOD, GOOD[:, :2], "features of 2 and of 4 numbers; expected those of one network"),
    (torch.ones(50, 4), GOOD, "4 of 4 features have zero variance over 50 real features"),
    (GOOD, torch.ones(50, 4), "4 of 4 features have zero variance over 50 generated features; are all images the same"),
    (GOOD, GOOD * np.nan, "generated features hold NaN or infinity"),
    (GOOD[0], GOOD, r"real features are torch.float64 of shape \(4,\); expected floats \(n, d\)"),
]


@pytest.mark.parametrize(("real", "fake", "said"), BAD)
def test_bad_features_are_one_clear_line(real, fake, said):
    with pytest.raises(ValueError, match=said) as caught:
        quality.precision_recall(real, fake)
    assert "\n" not in str(caught.value)


def test_no_neighbours_are_refused():
    with pytest.raises(ValueError, match="k = 0 neighbours; expected at least 1"):
        quality.density_coverage(GOOD, GOOD, 0)
