"""Portraits: determinism, the stated laws, a visible effect of each factor, antialiased edges, clear errors."""

import pytest
import torch
from scipy import stats

import hollow.faces
from hollow.faces import FACTORS, Factor, portraits, render, sample_factors

P_MIN = 1e-4
NAMES = [factor.name for factor in FACTORS]


def middle(n: int) -> dict[str, torch.Tensor]:
    """n equal portraits with each factor half-way, lit from one side."""
    f = {
        a.name: torch.zeros(n, dtype=torch.int64) if a.probs else torch.full((n,), (a.lo + a.hi) / 2)
        for a in FACTORS
    }
    f["light_direction"][:] = 0.5
    return f


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a.float() - b.float()).abs().max().item()


def test_the_table_is_large_and_well_formed():
    assert len(FACTORS) >= 16
    assert len(set(NAMES)) == len(NAMES)
    for factor in FACTORS:
        if factor.kind == "categorical":
            assert factor.classes >= 2
            assert sum(factor.probs) == pytest.approx(1)
        else:
            assert factor.classes == 0
            assert factor.lo < factor.hi


def test_shapes_and_types():
    images, factors = portraits(5, seed=3)
    assert images.shape == (5, 3, 64, 64)
    assert images.dtype == torch.uint8
    assert list(factors) == NAMES
    assert all(value.shape == (5,) for value in factors.values())
    assert render(factors, size=32).shape == (5, 3, 32, 32)
    assert render(factors, size=50).shape == (5, 3, 50, 50)


def test_same_seed_same_pixels_other_seed_other_pixels():
    first = portraits(8, seed=1)[0]
    assert torch.equal(first, portraits(8, seed=1)[0])
    assert not torch.equal(first, portraits(8, seed=2)[0])


@pytest.mark.parametrize("n", [1, 7, 64, 65])
def test_a_longer_set_extends_a_shorter_one(n):
    images, factors = portraits(n, seed=5)
    long_images, long_factors = portraits(150, seed=5)
    assert all(torch.equal(factors[name], long_factors[name][:n]) for name in NAMES)
    assert difference(images, long_images[:n]) <= 1


def test_pixels_do_not_depend_on_chunks_or_threads(monkeypatch):
    images, factors = portraits(40, seed=2)
    monkeypatch.setattr(hollow.faces, "CHUNK", 7)
    assert difference(images, render(factors)) <= 1
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert difference(images, render(factors)) <= 1
    finally:
        torch.set_num_threads(threads)


def test_pixels_are_stable_in_the_last_bits_of_the_arithmetic():
    """Factors one float32 ulp apart differ as much as devices do; their pixels agree up to 1/255."""
    images, factors = portraits(200, seed=4)
    nudged = {
        a.name: factors[a.name] if a.probs else torch.nextafter(factors[a.name], torch.tensor((a.lo + a.hi) / 2))
        for a in FACTORS
    }
    assert difference(images, render(nudged)) <= 1
    nudged["yaw"] = nudged["yaw"] * 0.99
    assert difference(images, render(nudged)) > 1


if torch.cuda.is_available():  # not a skip: where there is no GPU, the test does not exist

    def test_pixels_agree_on_the_gpu():
        images, factors = portraits(500, seed=6)
        assert difference(images, render(factors, device="cuda").cpu()) <= 1


@pytest.mark.parametrize("factor", FACTORS, ids=NAMES)
def test_each_factor_is_visible(factor):
    """In at least 20 pixels, the factor moves a colour by 10 of 255 levels or more."""
    steps = factor.classes if factor.probs else 3
    f = middle(steps)
    f[factor.name] = torch.arange(steps) if factor.probs else torch.linspace(factor.lo, factor.hi, steps)
    images = render(f).int()
    # From one end of a range to the other; a hue comes back after one turn, so its half-way point is taken.
    others = images[1:] if factor.probs else images[1:2] if factor.unit == "turns" else images[2:]
    for other in others:
        assert ((other - images[0]).abs().amax(0) >= 10).sum() >= 20
    same = render(middle(3))
    assert torch.equal(same[0], same[1])
    assert torch.equal(same[0], same[2])


def fit(factor: Factor, values: torch.Tensor) -> float:
    """p-value of the values under the stated law of the factor."""
    if factor.probs:
        seen = torch.bincount(values, minlength=factor.classes)
        return stats.chisquare(seen.numpy(), [p * len(values) for p in factor.probs]).pvalue
    return stats.kstest(values.double().numpy(), stats.uniform(factor.lo, factor.hi - factor.lo).cdf).pvalue


def test_factors_follow_their_laws():
    factors = sample_factors(20_000, torch.Generator().manual_seed(0))
    for factor in FACTORS:
        values = factors[factor.name]
        assert fit(factor, values) > P_MIN, factor.name
        if factor.probs:
            wrong = torch.where(torch.arange(len(values)) % 10 == 0, 0, values)
        else:
            wrong = factor.lo + (values - factor.lo) ** 1.1 / (factor.hi - factor.lo) ** 0.1
        assert fit(factor, wrong) < P_MIN, f"control of {factor.name}"


def test_factors_are_uncorrelated():
    factors = sample_factors(20_000, torch.Generator().manual_seed(1))
    table = torch.stack([value.double() for value in factors.values()])

    def worst(rows: torch.Tensor) -> float:
        r = rows.corrcoef().fill_diagonal_(0).abs().max().item()
        pairs = len(rows) * (len(rows) - 1) / 2
        return pairs * 2 * stats.norm.sf(r * len(factors["skin"]) ** 0.5)

    assert worst(table) > P_MIN
    table[1] += 0.1 * table[0]
    assert worst(table) < P_MIN


def test_edges_are_antialiased():
    factors = sample_factors(24, torch.Generator().manual_seed(7))
    reference = torch.nn.functional.avg_pool2d(render(factors, size=256).float(), 4)
    smooth = (render(factors).float() - reference).abs().mean()
    # The control takes one sample for each pixel, as a renderer with hard edges does.
    hard = (render(factors, size=256).float()[:, :, 2::4, 2::4] - reference).abs().mean()
    assert smooth < 1.5
    assert smooth < 0.6 * hard


def test_portraits_vary():
    images = portraits(64, seed=8)[0].float()
    assert images.std(0).mean() > 30
    assert images.mean((0, 2, 3)).min() > 60


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"nose": torch.zeros(3)}, "unknown factor 'nose'"),
        ({"yaw": torch.tensor([0.0, 2.0, 0.0])}, "factor 'yaw' holds 2"),
        ({"yaw": torch.tensor([0.0, float("nan"), 0.0])}, "factor 'yaw' holds nan"),
        ({"yaw": torch.zeros(4)}, r"factor 'yaw' has shape \(4,\); expected \(3,\)"),
        ({"skin": torch.tensor(0.5)}, r"factor 'skin' has shape \(\)"),
        ({"glasses": torch.full((3,), 3)}, "factor 'glasses' holds 3"),
        ({"glasses": torch.full((3,), 0.5)}, "factor 'glasses' holds 0.5"),
    ],
)
def test_bad_factors_are_named(edit, message):
    with pytest.raises(ValueError, match=message) as error:
        render(middle(3) | edit)
    assert "\n" not in str(error.value)


def test_other_bad_input():
    missing = middle(3)
    del missing["smile"]
    with pytest.raises(ValueError, match="'smile' is missing"):
        render(missing)
    with pytest.raises(ValueError, match="size = 8"):
        render(middle(1), size=8)
    for call in (sample_factors, portraits):
        with pytest.raises(ValueError, match="n = 0"):
            call(0)
