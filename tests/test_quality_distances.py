"""Frechet and kernel distance: independent implementations, closed forms, invariances, bias, bad input."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hollow import quality

SMALL = settings(deadline=None, max_examples=20)


def sample(n, d, seed, scale=1.0, shift=0.0):
    """Return correlated features with a dense covariance."""
    stream = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=stream, dtype=torch.float64) / d**0.5 + torch.eye(d, dtype=torch.float64)
    return torch.randn(n, d, generator=stream, dtype=torch.float64) @ mix * scale + shift


def frechet_by_scipy(x, y):
    """The formula itself, by numpy's covariance and scipy's matrix square root."""
    x, y = x.double().numpy(), y.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x + cov_y - 2 * root.real)


@pytest.mark.parametrize(("n", "m", "d"), [(100, 90, 3), (400, 700, 20), (200, 150, 64)])
def test_frechet_distance_is_that_of_an_independent_implementation(n, m, d):
    x, y = sample(n, d, 1), sample(m, d, 2, scale=1.3, shift=0.2)
    expected = frechet_by_scipy(x, y)
    assert quality.frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert quality.frechet_distance(x.float(), y.float()) == pytest.approx(expected, rel=1e-4)
    assert frechet_by_scipy(x, y + 0.05) != pytest.approx(expected, rel=1e-3)  # the comparison can fail


def exact(n, mean, deviations, seed):
    """Return features whose sample mean and covariance are exactly these."""
    x = sample(n, len(mean), seed)
    x = x - x.mean(0)
    x = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return x * torch.tensor(deviations, dtype=torch.float64) + torch.tensor(mean, dtype=torch.float64)


def test_frechet_distance_of_normal_laws_is_the_closed_form():
    x = exact(300, [0.0, 1.0, -2.0], [1.0, 2.0, 0.5], 0)
    y = exact(200, [0.5, 1.0, -1.0], [1.5, 1.0, 0.5], 1)
    expected = 0.5**2 + 1 + (0.5**2 + 1)  # squared differences of means and of standard deviations
    assert quality.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert quality.frechet_distance(x + 1e6, y + 1e6) == pytest.approx(expected, rel=1e-4)  # far from the origin
    assert quality.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_moments_do_instead_of_features():
    x, y = sample(300, 8, 1), sample(200, 8, 2, shift=0.5)
    known = quality.Statistics(x.mean(0).float(), x.T.cov().float(), len(x), x[:10])
    expected = quality.frechet_distance(x, y)
    assert quality.frechet_distance(known, y) == pytest.approx(expected, rel=1e-5)
    assert quality.frechet_distance(y, known) == pytest.approx(expected, rel=1e-5)
    assert quality.frechet_distance(known, known) == pytest.approx(0, abs=1e-6)


def kernel_by_hand(x, y):
    """The unbiased estimate of the squared maximum mean discrepancy, pair by pair."""
    d, m = x.shape[1], len(x)

    def k(a, b):
        return (float(a @ b) / d + 1) ** 3

    own = sum(k(z[i], z[j]) for z in (x, y) for i in range(m) for j in range(m) if i != j)
    return own / (m * (m - 1)) - 2 * sum(k(a, b) for a in x for b in y) / m**2


def test_kernel_distance_is_the_polynomial_one():
    x, y = sample(40, 6, 1), sample(40, 6, 2, shift=0.3)
    expected = kernel_by_hand(x, y)
    assert quality.kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert quality.kernel_distance(x.float(), y.float()) == pytest.approx(expected, rel=1e-4)
    larger = sample(4000, 6, 1)
    parts = quality.kernel_distance(larger, sample(4000, 6, 2, shift=0.3), subsets=20, size=500)
    whole = quality.kernel_distance(larger, sample(4000, 6, 2, shift=0.3), size=4000)
    assert parts == pytest.approx(whole, rel=0.1)


def test_kernel_distance_repeats_itself_and_leaves_the_global_stream_alone():
    x, y = sample(60, 4, 1), sample(50, 4, 2)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = quality.kernel_distance(x, y, subsets=3, size=20)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert quality.kernel_distance(x, y, subsets=3, size=20) == first
    assert quality.kernel_distance(x, y, subsets=3, size=20, seed=1) != first


def test_frechet_distance_is_biased_by_the_sample_size_and_kernel_distance_is_not():
    """Two samples of one law: the Frechet distance falls like 1 / n, the kernel distance is about 0 at each n."""
    frechet, kernel = {}, {}
    for n in (100, 200, 400):
        pairs = [_pair(n, seed) for seed in range(30)]
        frechet[n] = np.mean([quality.frechet_distance(x, y) for x, y in pairs])
        kernel[n] = np.array([quality.kernel_distance(x, y) for x, y in pairs])
    assert frechet[100] / frechet[200] == pytest.approx(2, rel=0.25)
    assert frechet[200] / frechet[400] == pytest.approx(2, rel=0.25)
    assert frechet[400] > 0.01
    for values in kernel.values():
        assert abs(values.mean()) < 4 * values.std(ddof=1) / 30**0.5
    # Negative control: with the pairs i = j in the sum, the same test sees the bias at once.
    x, y = _pair(100, 0)
    diagonal = ((x.square().sum(1) / 8 + 1) ** 3 + (y.square().sum(1) / 8 + 1) ** 3).sum() / 100**2
    biased = kernel[100] * 0.99 + float(diagonal)
    assert abs(biased.mean()) > 4 * biased.std(ddof=1) / 30**0.5


def _pair(n, seed):
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 8, generator=stream, dtype=torch.float64)


@SMALL
@given(seed=st.integers(0, 2**20), d=st.integers(2, 12))
def test_distances_do_not_depend_on_the_axes_or_on_the_order_of_images(seed, d):
    x, y = sample(60, d, seed), sample(50, d, seed + 1, scale=1.2, shift=0.3)
    stream = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(d, d, generator=stream, dtype=torch.float64)).Q
    moved = (x @ turn)[torch.randperm(60, generator=stream)], (y @ turn)[torch.randperm(50, generator=stream)]
    before = quality.frechet_distance(x, y)
    assert quality.frechet_distance(*moved) == pytest.approx(before, rel=1e-8)
    assert quality.frechet_distance(y, x) == pytest.approx(before, rel=1e-8)
    assert before > 0
    kernel = quality.kernel_distance(x[:50], y)
    assert quality.kernel_distance(x[:50] @ turn, y @ turn) == pytest.approx(kernel, rel=1e-8)
    order = torch.randperm(50, generator=stream)
    assert quality.kernel_distance(x[:50][order], y) == pytest.approx(kernel, rel=1e-8)


GOOD = sample(50, 4, 0)
SAME = torch.ones(50, 4)
BAD = [
    (quality.frechet_distance, GOOD[:4], "4 first features are too few; a covariance of 4 features needs more than 4, "
     "so at least 5 are needed"),
    (quality.frechet_distance, torch.full((50, 4), torch.nan), "first features hold NaN or infinity; check the images"),
    (quality.frechet_distance, SAME, "4 of 4 features have zero variance over 50 first features; are all images the"),
    (quality.frechet_distance, torch.cat([GOOD[:, :3], SAME[:, :1]], 1), "1 of 4 features have zero variance over 50"),
    (quality.frechet_distance, GOOD[:, :3], "features of 3 and of 4 numbers; expected those of one network"),
    (quality.frechet_distance, GOOD[0], r"shape \(4,\); expected floats \(n, d\)"),
    (quality.frechet_distance, GOOD.long(), "first features are torch.int64"),
    (quality.kernel_distance, GOOD[:1], "1 first features are too few"),
    (quality.kernel_distance, SAME, "zero variance"),
    (quality.kernel_distance, GOOD * torch.inf, "NaN or infinity"),
    (quality.kernel_distance, GOOD[:, :3], "features of 3 and of 4"),
]  # fmt: skip


@pytest.mark.parametrize(("distance", "x", "said"), BAD)
def test_bad_features_are_one_clear_line(distance, x, said):
    with pytest.raises(ValueError, match=said) as caught:
        distance(x, GOOD)
    assert "\n" not in str(caught.value)


def test_subsets_of_one_image_are_refused():
    with pytest.raises(ValueError, match="50 subsets of 1 images; expected at least 1 subset of at least 2"):
        quality.kernel_distance(GOOD, GOOD, size=1)
