"""Tests of whether two samples of latents come from the same law."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hollow.laws import Array

ROUNDING = 1e-6  # relative differences below this count as float32 rounding
ENERGY_POINTS = 400  # vectors of each sample in the energy test
SMALL = 100  # vectors of each sample up to which the law of the Kolmogorov-Smirnov distance is exact
ENOUGH = 50  # permutations as large as the observed energy after which the test stops


@dataclass(frozen=True)
class LawTest:
    """One test of equality of two laws.

    `effect` is the Kolmogorov-Smirnov distance, or the energy distance relative to the mean distance between the
    samples; `spread` is the ratio of interquartile ranges, first sample over second (NaN where it has no meaning);
    `n` is the size of each sample.
    """

    name: str
    p_value: float
    effect: float
    spread: float
    n: int
    lam: float | None = None


def law_test(
    x: Tensor, y: Tensor, generator: torch.Generator | None = None, *, permutations: int = 200_000
) -> tuple[LawTest, ...]:
    """Test whether two samples of shape (n, D) come from the same law; combine the tests by `combined`.

    Two-sample Kolmogorov-Smirnov tests of one random coordinate a vector, of the norm and of two random projections,
    where values within float32 rounding count as equal, so that noise on an atom rejects nothing; and an energy test
    of the joint law on the first 400 vectors (Szekely and Rizzo, 2004).

    The energy test is by permutation: swapping x_i and y_i leaves the law of the samples as it is if both are alike,
    so the observed energy is compared with that of random swaps, up to `permutations` of them, fewer once 50
    are at least as large (Besag and Clifford, 1991); the p-value is exact and can fall to 1 / (permutations + 1).
    Heavy tails have no mean distance, so each coordinate is first mapped by asinh(z / s), s the median of abs(z) off 0
    in both samples: the map is one-to-one, so equal laws stay equal and different ones different.
    """
    n, dim = min(len(x), len(y)), x.shape[-1]
    x, y = (z[:n].to(device="cpu", dtype=torch.float64) for z in (x, y))
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        return (LawTest("finite", 0.0, np.nan, np.nan, n),)
    device = generator.device if generator is not None else "cpu"
    i, j = torch.randint(dim, (2, n, 1), generator=generator, device=device).cpu()
    axes = randn((dim, 2), generator)
    axes /= norm(axes.T)
    views = {"coordinate": (x.gather(1, i), y.gather(1, j)), "norm": (norm(x), norm(y))}
    views |= {f"projection {k + 1}": (x @ axis, y @ axis) for k, axis in enumerate(axes.T)}
    tests = [_ks(name, a.flatten().numpy(), b.flatten().numpy()) for name, (a, b) in views.items()]
    return (*tests, _energy(x[:ENERGY_POINTS], y[:ENERGY_POINTS], generator, permutations))


def combined(tests: Sequence[LawTest]) -> float:
    """Bonferroni combination: the least p-value times the number of tests, at most 1."""
    return min(1.0, len(tests) * min(test.p_value for test in tests))


def _ks(name: str, a: Array, b: Array) -> LawTest:
    a, b = np.sort(a), np.sort(b)
    unit = np.median(np.abs(np.concatenate((a, b))))
    distance = 0.0
    for one, other in ((a, b), (b, a)):
        # The other sample gets the benefit of rounding: it counts up to a little beyond each point.
        beyond = np.searchsorted(other, one + 2 * ROUNDING * (np.abs(one) + unit), side="right")
        distance = max(distance, float((np.arange(1, len(one) + 1) - beyond).max() / len(one)))
    (low, high), (low_b, high_b) = np.percentile(a, [25, 75]), np.percentile(b, [25, 75])
    spread = (high - low) / (high_b - low_b) if high_b - low_b > ROUNDING * unit else np.nan
    return LawTest(name, _at_least(distance, len(a)), distance, float(spread), len(a))


def _at_least(distance: float, n: int) -> float:
    """Return P(D >= distance) for two samples of n each: exact for small n (Gnedenko and Korolyuk, 1951)."""
    if n > SMALL:
        return float(stats.kstwo.sf(distance, round(n / 2)))
    k = round(n * distance)
    if k == 0:
        return 1.0
    return 2 * sum((-1) ** (j + 1) * comb(2 * n, n - j * k) for j in range(1, n // k + 1)) / comb(2 * n, n)


def _energy(x: Tensor, y: Tensor, generator: torch.Generator | None, permutations: int) -> LawTest:
    pooled = torch.cat((x, y)).abs()
    scale = pooled[pooled > 0].median() if pooled.any() else torch.tensor(1.0, dtype=x.dtype)
    x, y = torch.asinh(x / scale), torch.asinh(y / scale)
    across = torch.cdist(x, y)
    # n^2 times the energy distance is the sum of this matrix; swapping x_i and y_i flips the signs of row and column i.
    matrix = across + across.T - torch.cdist(x, x) - torch.cdist(y, y)
    observed = float(matrix.sum())
    floor = observed - 1e-6 * float(matrix.abs().sum())  # float32 rounding counts as equal
    matrix = matrix.float()
    device = generator.device if generator is not None else "cpu"
    done = larger = 0
    while done < permutations and larger < ENOUGH:
        size = (min(8192, permutations - done), len(x))
        sign = torch.randint(2, size, generator=generator, device=device, dtype=torch.int8).cpu().float() * 2 - 1
        hits = ((sign @ matrix * sign).sum(1) >= floor).cumsum(0)
        if larger + int(hits[-1]) >= ENOUGH:
            done += int((hits < ENOUGH - larger).sum()) + 1
            larger = ENOUGH
        else:
            done, larger = done + size[0], larger + int(hits[-1])
    p = larger / done if larger >= ENOUGH else (larger + 1) / (done + 1)
    effect = observed / (2 * float(across.sum()) or 1.0)
    return LawTest("energy", p, effect, np.nan, len(x))


def norm(z: Tensor) -> Tensor:
    """Euclidean norm over the last axis."""
    return torch.linalg.vector_norm(z, dim=-1)


def randn(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Standard normal draws in float64 on the CPU, from a generator on any device."""
    device = generator.device if generator is not None else "cpu"
    return torch.randn(tuple(shape), generator=generator, device=device, dtype=torch.float64).cpu()
