"""Laws and transports against mpmath, in both tails; round trips; what they must refuse."""

import warnings

import mpmath as mp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from hollow import inversion
from hollow.laws import Atom, Cauchy, Normal, Scaled, Signs, Symmetrized, Uniform, WithZero, transport
from hollow.norms import Chi, FisherNorm, KilcherNorm, SphereNorm
from hollow.tabulated import CauchyNorm, KilcherPart, StableNorm, StableSize, UniformNorm, symmetric_stable

COORDINATES = [
    Normal(),
    Normal(0.1),
    Uniform(),
    Cauchy(),
    Scaled(Uniform(), 3.0),
    Symmetrized(FisherNorm(0.5, 1)),
    Symmetrized(FisherNorm(3.0, 1)),
    Symmetrized(FisherNorm(1e12, 1)),
    Symmetrized(SphereNorm(1, 3)),
    Symmetrized(SphereNorm(1, 100)),
    Symmetrized(KilcherPart(1, 100, 2, 200.0)),
]
STABLE = [symmetric_stable(alpha) for alpha in (0.2, 0.7, 0.999, 1.3, 1.5, 1.9, 1.9999)]
NORMS = [
    Chi(1),
    Chi(2),
    Chi(100),
    Chi(10**6),
    FisherNorm(1.0, 100),
    FisherNorm(3.0, 100),
    FisherNorm(30.0, 10_000),
    FisherNorm(1.0, 10**6),
    SphereNorm(50, 100),
    KilcherNorm(1, 200.0),
    KilcherNorm(2, 200.0),
    KilcherPart(50, 100, 2, 200.0),
    UniformNorm(1),
    UniformNorm(2),
    UniformNorm(3),
    UniformNorm(100),
    UniformNorm(10**6),
    CauchyNorm(1),
    CauchyNorm(2),
    CauchyNorm(100),
    CauchyNorm(10**6),
]
STABLE_NORMS = [StableNorm(0.5, 100), StableNorm(1.5, 2), StableNorm(1.5, 100), StableNorm(1.9, 10**6)]
LAWS = COORDINATES + STABLE + NORMS + STABLE_NORMS
TAILS = [10.0**-k for k in (299, 200, 100, 30, 10, 3, 1)]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(50), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def relative(value, exact) -> float:
    return abs(float(mp.mpf(float(value)) / exact - 1))


def check_tails(law, low, high, tolerance, tails=TAILS):
    """Both tails, and both quantiles, against mpmath's low(x) = P(X <= x) and high(x) = P(X > x)."""
    for p in tails:
        for x, exact, ours in ((law.ppf(p), low, law.cdf), (law.isf(p), high, law.sf)):
            truth = exact(mp.mpf(float(x)))
            assert relative(ours(x), truth) < tolerance, (law, p, x)
            # The quantile is right if its exact probability differs from p by what a relative 1e-9 in x explains.
            h = 1e-9 * abs(float(x))
            slope = abs(np.log(ours(x + h)) - np.log(ours(x - h))) / 2e-9
            assert relative(p, truth) < tolerance * max(1.0, float(slope)), (law, p, x)


# Exact values


def test_normal_and_its_cauchy_coordinate():
    law = Normal()
    x = np.concatenate([[1e-300, 1e-12, 1e-3, 0.6], np.linspace(1, 37, 73)])
    exact = [1 / mp.tan(mp.pi * mp.erfc(mp.mpf(float(v)) / mp.sqrt(2)) / 2) for v in x]
    to, back = transport(x, law, Cauchy()), transport(-x, law, Cauchy())
    for c, d, truth in zip(to, back, exact, strict=True):
        # Near 0, cot(pi/2 - s) needs tan(s): 50 digits less 300 is not enough, so take the leading term.
        truth = truth if truth > mp.mpf(10) ** -6 else None
        if truth is not None:
            assert relative(c, truth) < 1e-12
        assert d == -c
    np.testing.assert_allclose(to[:2], np.sqrt(np.pi / 2) * x[:2], rtol=1e-14)
    check_tails(law, lambda v: mp.erfc(-v / mp.sqrt(2)) / 2, lambda v: mp.erfc(v / mp.sqrt(2)) / 2, 1e-12)


def test_composition_of_float64_cdfs_saturates_where_ours_does_not():
    x = np.array([8.0, 9.0, 37.0])
    naive = scipy.stats.cauchy.ppf(scipy.stats.norm.cdf(x))
    assert np.isinf(naive[1:]).all() or (naive[1] == naive[2])
    ours = transport(x, Normal(), Cauchy())
    assert (np.diff(np.log10(ours)) > 3).all()
    flipped = np.float32(special.ndtr(np.float32(5.6))) - np.float32(0.5)  # saturates: the tangent changes sign
    assert np.tan(np.float32(np.pi) * flipped) < 0 < transport(np.float32(5.6), Normal(), Cauchy())


def test_uniform_and_cauchy():
    x = np.array([1e-300, 0.3, 0.999999999, 1 - 2.0**-53])
    c = transport(x, Uniform(), Cauchy())
    for v, value in zip(x[1:], c[1:], strict=True):
        assert relative(value, 1 / mp.tan(mp.pi * (1 - mp.mpf(float(v))) / 2)) < 1e-14
    check_tails(Cauchy(), lambda v: mp.atan2(1, -v) / mp.pi, lambda v: mp.atan2(1, v) / mp.pi, 1e-14)


@pytest.mark.parametrize("dim", [1, 2, 3, 100, 10_000])
def test_chi(dim):
    def low(r):
        return mp.gammainc(mp.mpf(dim) / 2, 0, r * r / 2, regularized=True)

    def high(r):
        return mp.gammainc(mp.mpf(dim) / 2, r * r / 2, mp.inf, regularized=True)

    check_tails(Chi(dim), low, high, 1e-10)


def test_chi_in_a_million_dimensions():
    law, a = Chi(10**6), mp.mpf(500_000)

    def low(r):  # Kummer's series
        y = r * r / 2
        total = term = mp.mpf(1)
        for n in range(1, 20_000):
            term *= y / (a + n)
            total += term
        return mp.exp(a * mp.log(y) - y - mp.loggamma(a + 1)) * total

    for p in (1e-300, 1e-10):
        assert relative(law.cdf(law.ppf(p)), low(mp.mpf(float(law.ppf(p))))) < 1e-9
    assert float(law.ppf(0.5)) == pytest.approx(1000 * (1 - 2 / 9e6) ** 1.5, rel=1e-9)
    np.testing.assert_allclose(law.sf(law.isf(TAILS)), TAILS, rtol=1e-9)


@pytest.mark.parametrize(("nu", "dim"), [(1, 1), (0.5, 3), (3, 1), (1, 100), (3, 100), (30, 10_000), (1e8, 2)])
def test_multivariate_t_norm(nu, dim):
    a, b = mp.mpf(dim) / 2, mp.mpf(nu) / 2

    def low(r):
        return mp.betainc(a, b, 0, r * r / (r * r + nu), regularized=True)

    def high(r):
        return mp.betainc(b, a, 0, nu / (r * r + nu), regularized=True)

    # For nu = 0.5 quantiles beyond 1e-70 leave float64.
    check_tails(FisherNorm(nu, dim), low, high, 1e-9, [p for p in TAILS if p > 1e-70 or nu > 1])


def test_part_of_the_sphere():
    for part, dim in ((1, 2), (1, 100), (50, 100), (99, 100)):
        a, b = mp.mpf(part) / 2, mp.mpf(dim - part) / 2
        law = SphereNorm(part, dim)
        # Next to the end of the support the float64 grid itself is coarser than the tail.
        tails = [p for p in TAILS if float(law.isf(p)) < 1 - 1e-6]
        check_tails(
            law,
            lambda r, a=a, b=b: mp.betainc(a, b, 0, r * r, regularized=True),
            lambda r, a=a, b=b: mp.betainc(b, a, 0, (1 - r) * (1 + r), regularized=True),
            1e-9,
            tails,
        )


def test_kilcher_norm():
    for k in (1, 2):
        check_tails(
            KilcherNorm(k, 200.0),
            lambda r, k=k: mp.erf(mp.sqrt(r**k / 200)),
            lambda r, k=k: mp.erfc(mp.sqrt(r**k / 200)),
            1e-12,
            [p for p in TAILS if p > 1e-150 or k == 2],  # for k = 1 the quantile goes like p^2
        )


@pytest.mark.parametrize("k", [1, 2])
def test_kilcher_part(k):
    part, dim, theta = 1, 100, mp.mpf(200)
    law = KilcherPart(part, dim, k, 200.0)
    constant = 1 / mp.beta(mp.mpf(part) / 2, mp.mpf(dim - part) / 2)

    def mean(f):  # over the logit v of b^2
        def integrand(v):
            square = 1 / (1 + mp.exp(-v))
            return f(mp.sqrt(square)) * mp.exp(v * part / 2 - dim * mp.log1p(mp.exp(v)) / 2)

        return constant * mp.quad(integrand, [-160, -80, -40, *range(-20, 12, 2)])

    with mp.workdps(25):
        for r in (1e-6, 0.1, 0.4, 3.0, 30.0):
            low = mean(lambda b, r=r: mp.erf(mp.sqrt((r / b) ** k / theta)))
            assert relative(law.cdf(r), low) < 1e-9, r
            assert relative(law.sf(r), mean(lambda b, r=r: mp.erfc(mp.sqrt((r / b) ** k / theta)))) < 1e-9, r


def test_uniform_norm_in_low_dimensions():
    def plane(x):  # P(U^2 + V^2 <= x)
        if x <= 1:
            return mp.pi * x / 4
        return mp.sqrt(x - 1) + x * (mp.pi / 4 - mp.acos(1 / mp.sqrt(x)))

    for r in (1e-9, 0.5, 0.999, 1.0, 1.001, 1.3, 1.41):
        assert relative(UniformNorm(2).cdf(r), plane(mp.mpf(r) ** 2)) < 1e-11
        if r > 0.1:
            assert relative(UniformNorm(2).sf(r), 1 - plane(mp.mpf(r) ** 2)) < 1e-10
    for r in (0.5, 0.99, 1.2, 1.41, 1.42, 1.6, 1.72):
        x = mp.mpf(r) ** 2
        ends = sorted({mp.mpf(0), *(mp.sqrt(x - j) for j in (1, 2) if 0 < x - j < 1), min(mp.sqrt(x), mp.mpf(1))})
        low = mp.quad(lambda u, x=x: plane(min(max(x - u * u, mp.mpf(0)), mp.mpf(2))), ends)
        assert relative(UniformNorm(3).cdf(r), low) < 1e-9
        assert relative(UniformNorm(3).sf(r), 1 - low) < 1e-8


def saddle(slope):
    """Where an increasing function of s > 0 changes sign, to a few digits."""
    low, high = mp.mpf(-60), mp.mpf(60)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(mp.exp(middle)) > 0 else (middle, high)
    return mp.exp(low)


def test_uniform_norm_by_convolution_and_by_inversion():
    """The two methods meet at D = 20, where either holds."""
    r = np.sqrt(20) * np.array([0.05, 0.3, 0.5, 0.55, 0.6, 0.7, 0.9, 0.99])
    t = np.log(r**2 / (20 - r**2))
    panels = inversion.uniform_panels(t, 20)
    below, above = inversion.uniform(t, 20, -1), inversion.uniform(t, 20, 1)
    np.testing.assert_allclose(np.where(panels < 0, below, above), panels, rtol=1e-12)


@pytest.mark.parametrize("dim", [21, 100, 10**6])
def test_uniform_norm_by_inversion(dim):
    """The Bromwich integral of E exp(-s r^2) / s along a line of its own, at 30 digits."""
    law = UniformNorm(dim)

    def tail(x, side):
        def log_m(s):  # log E exp(side s U^2)
            root = mp.sqrt(s)
            ratio = mp.erf(root) if side < 0 else mp.erfi(root)
            return mp.log(mp.sqrt(mp.pi) * ratio / (2 * root))

        def exponent(s):
            return dim * log_m(s) - side * s * x - mp.log(s)

        at = saddle(lambda s: (exponent(s * (1 + mp.mpf(10) ** -9)) - exponent(s * (1 - mp.mpf(10) ** -9))))
        width = 1 / mp.sqrt(mp.diff(exponent, at, 2))
        line = mp.quad(
            lambda tau: mp.re(mp.exp(exponent(at + 1j * tau * width) - exponent(at))),
            mp.linspace(0, 12, 7) if dim > 50 else [0, 2, 6, 15, 40, 100],
        )
        return mp.exp(exponent(at)) * width / mp.pi * line

    with mp.workdps(30 if dim > 50 else 16):
        # For D = 21 the tail at 1e-200 lies within 1e-10 of sqrt(D), where float64 radii are coarse.
        for p in (1e-200 if dim > 50 else 1e-30, 0.1):
            low, high = float(law.ppf(p)), float(law.isf(p))
            assert relative(law.cdf(low), tail(mp.mpf(low) ** 2, -1)) < 1e-9, p
            assert relative(law.sf(high), tail(mp.mpf(high) ** 2, 1)) < 1e-9, p


def log_erfcx(q):
    return q * q + mp.log(mp.erfc(q))


def below(r, log_phi, dim):
    """P(R <= r) from the transform of the squared norm, along Re q = p / r through the saddle point."""

    def exponent(p):
        return p * p + dim * log_phi(p / r) - mp.log(p)

    at = saddle(lambda p: mp.re(exponent(p * (1 + mp.mpf(10) ** -8)) - exponent(p * (1 - mp.mpf(10) ** -8))))
    peak = mp.re(exponent(at))
    line = mp.quad(lambda tau: mp.re(mp.exp(exponent(at + 1j * tau) - peak)), mp.linspace(0, 8, 9))
    return 2 * mp.exp(peak) / mp.pi * line


def above(r, log_phi, dim):
    """P(R > r) from the transform on the imaginary axis, in log y = log(r tau)."""

    def integrand(u):
        y = mp.exp(u)
        return -mp.exp(-y * y) * mp.im(mp.expm1(dim * log_phi(1j * y / r)))

    return 2 / mp.pi * mp.quad(integrand, [-90, -60, -40, -20, -10, -6, -4, -3, *mp.linspace(-2, 2.2, 15)])


@pytest.mark.parametrize("dim", [2, 100])
def test_cauchy_norm(dim):
    law = CauchyNorm(dim)
    with mp.workdps(35):
        for p in (1e-200 if dim > 2 else 1e-10, 1e-4, 0.3):
            r = float(law.ppf(p))
            assert relative(law.cdf(r), below(mp.mpf(r), log_erfcx, dim)) < 1e-9, p
        for p in (0.4, 1e-3, 1e-15):
            r = float(law.isf(p))
            assert relative(law.sf(r), above(mp.mpf(r), log_erfcx, dim)) < 1e-9, p
    # One large coordinate: P(R > r) = 2 D / (pi r).
    np.testing.assert_allclose(law.sf(dim * 1e200), 2 / np.pi * 1e-200, rtol=1e-12)


def test_cauchy_norm_is_cauchy_in_one_dimension():
    r = [1e-3, 1.0, 1e3, 1e200]
    np.testing.assert_allclose(CauchyNorm(1).sf(r), 2 * Cauchy().sf(r), rtol=1e-11)


def stable_middle(alpha, x):
    """P(0 < X < x) by the power series, convergent for alpha > 1."""
    total, k = mp.mpf(0), 0
    while True:
        term = (-1) ** k * mp.gamma((2 * k + 1) / mp.mpf(alpha)) / mp.factorial(2 * k + 1) * x ** (2 * k + 1)
        total += term
        k += 1
        if k > 20 and abs(term) < mp.mpf(10) ** -mp.mp.dps * abs(total):
            return total / (mp.pi * alpha)


def stable_tail(alpha, x, terms=None):
    """P(X > x) by Bergström's series, convergent for alpha < 1, asymptotic beyond."""
    total, n = mp.mpf(0), 1
    while terms is None or n <= terms:
        size = mp.gamma(n * mp.mpf(alpha)) / mp.factorial(n) * x ** (-n * mp.mpf(alpha))
        total += (-1) ** (n - 1) * mp.sin(n * mp.pi * alpha / 2) * size
        n += 1
        if n > 20 and abs(size) < mp.mpf(10) ** -mp.mp.dps * abs(total):
            break
    return total / mp.pi


@pytest.mark.parametrize("alpha", [0.3, 0.7, 0.99])
def test_stable_law_below_one(alpha):
    law = symmetric_stable(alpha)
    with mp.workdps(400 if alpha < 0.9 else 60):
        for x in (0.3, 3.0, 1e3, 1e20, 1e200) if alpha < 0.9 else (3.0, 1e3, 1e20, 1e200):
            tail = stable_tail(mp.mpf(alpha), mp.mpf(x))
            assert relative(law.sf(x), tail) < 1e-9, x
            assert relative(law.central(x), mp.mpf("0.5") - tail) < 1e-9, x
    np.testing.assert_allclose(law.central(1e-30), special.gamma(1 + 1 / alpha) / np.pi * 1e-30, rtol=1e-11)


@pytest.mark.parametrize("alpha", [1.01, 1.5, 1.9, 1.9999])
def test_stable_law_above_one(alpha):
    law = symmetric_stable(alpha)
    with mp.workdps(250):
        for x in (1e-8, 0.1, 0.5) if alpha < 1.1 else (1e-8, 0.1, 1.0, 3.0, 8.0):
            middle = stable_middle(mp.mpf(alpha), mp.mpf(x))
            assert relative(law.central(x), middle) < 1e-9, x
            assert relative(law.sf(x), mp.mpf("0.5") - middle) < 1e-8, x
    with mp.workdps(40):
        for x in (1e6, 1e20, 1e100):
            assert relative(law.sf(x), stable_tail(mp.mpf(alpha), mp.mpf(x), 12)) < 1e-9, x


def test_stable_norm_in_the_plane():
    """One integral over the first coordinate, for radii in both tails."""
    for alpha in (0.7, 1.5):
        law, coordinate = StableNorm(alpha, 2), symmetric_stable(alpha)
        node, weight = np.polynomial.legendre.leggauss(400)
        for r in (1e-3, 0.5, 2.0, 50.0):
            angle = np.pi / 4 * (1 + node)
            x, other = r * np.sin(angle), r * np.cos(angle)
            mass = np.pi / 4 * weight * other * 2 * np.exp(coordinate.logpdf(x))
            low = (mass * 2 * coordinate.central(other)).sum()
            np.testing.assert_allclose(law.cdf(r), low, rtol=1e-7)
            if r > 1:
                high = 2 * coordinate.sf(r) + (mass * 2 * coordinate.sf(other)).sum()
                np.testing.assert_allclose(law.sf(r), high, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.7, 1.5])
def test_stable_norm_in_many_dimensions(alpha):
    dim, law = 100, StableNorm(alpha, 100)

    def log_phi(q):  # series of E exp(-(sqrt(2) q |N|)^alpha)
        power, total, last = (2 * q) ** mp.mpf(alpha), mp.mpf(0), mp.mpf(1)
        for coefficient in coefficients:
            last *= -power
            total += last * coefficient
            if abs(last * coefficient) < mp.mpf(10) ** -26 * abs(total):
                break
        return mp.log1p(total)

    with mp.workdps(30):
        half = mp.mpf(1) / 2
        coefficients = [mp.gamma(alpha * k * half + half) / (mp.sqrt(mp.pi) * mp.factorial(k)) for k in range(1, 300)]
        r = float(law.ppf(0.2))
        assert relative(law.cdf(r), below(mp.mpf(r), log_phi, dim)) < 1e-6
        for p in (0.3, 1e-3, 1e-12):
            r = float(law.isf(p))
            assert relative(law.sf(r), above(mp.mpf(r), log_phi, dim)) < 1e-6


def test_stable_limits():
    p = np.array([1e-9, 1e-3, 0.2, 0.5, 0.9])
    for dim in (2, 100):
        np.testing.assert_allclose(StableNorm(1 + 1e-10, dim).ppf(p), CauchyNorm(dim).ppf(p), rtol=1e-7)
        np.testing.assert_allclose(StableNorm(2 - 1e-9, dim).ppf(p), np.sqrt(2) * Chi(dim).ppf(p), rtol=1e-6)
    assert symmetric_stable(1.0) == Cauchy()
    x = [1e-8, 0.3, 3.0, 1e15]
    np.testing.assert_allclose(symmetric_stable(1 + 1e-8).sf(x), Cauchy().sf(x), rtol=1e-6)
    np.testing.assert_allclose(symmetric_stable(1 - 1e-8).central(x), Cauchy().central(x), rtol=1e-6)
    np.testing.assert_allclose(symmetric_stable(2.0).ppf(p), np.sqrt(2) * Normal().ppf(p), rtol=1e-15)


def test_against_scipy():
    r = np.array([2.0, 9.0, 11.0, 14.0])
    np.testing.assert_allclose(Chi(100).logpdf(r), scipy.stats.chi(100).logpdf(r), rtol=1e-12)
    np.testing.assert_allclose(FisherNorm(3.0, 100).cdf(r), scipy.stats.f(100, 3).cdf(r**2 / 100), rtol=1e-12)
    x = np.array([-3.0, 0.0, 0.5])
    np.testing.assert_allclose(Symmetrized(FisherNorm(3.0, 1)).logpdf(x), scipy.stats.t(3).logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(symmetric_stable(1.5).logpdf(x), scipy.stats.levy_stable(1.5, 0).logpdf(x), rtol=1e-6)
    np.testing.assert_allclose(symmetric_stable(1.5).cdf(x), scipy.stats.levy_stable(1.5, 0).cdf(x), rtol=1e-6)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_density_is_the_derivative_of_the_cdf(law):
    x = np.asarray(law.ppf([0.03, 0.3, 0.6, 0.97]))
    h = 1e-6 * np.abs(x)
    tail = np.where(x < law.ppf(0.5), law.cdf(x + h) - law.cdf(x - h), law.sf(x - h) - law.sf(x + h))
    np.testing.assert_allclose(tail / (2 * h), np.exp(law.logpdf(x)), rtol=1e-4)


# Facts of the literature and of the paper


def moments(law):
    """Mean and variance by the trapezoidal rule in the normal score of r."""
    score = np.linspace(-12, 12, 2001)
    weight = scipy.stats.norm.pdf(score) * (score[1] - score[0])
    r = transport(score, Normal(), law)
    return weight @ r, weight @ (r - weight @ r) ** 2


def test_norms_at_dimension_100():
    mean, variance = moments(Chi(100))
    assert mean == pytest.approx(9.97503, abs=5e-6)
    assert variance == pytest.approx(0.49874, abs=5e-6)
    mean, variance = moments(UniformNorm(100))
    assert mean == pytest.approx(5.768, abs=5e-4)
    assert variance == pytest.approx(0.0669, abs=1e-4)
    assert float(CauchyNorm(100).ppf(0.5)) == pytest.approx(118.1, abs=0.05)
    assert float(CauchyNorm(100).ppf(0.01)) == pytest.approx(30.4, abs=0.05)
    assert float(CauchyNorm(100).isf(0.01)) == pytest.approx(6350, rel=0.01)
    assert float(FisherNorm(1.0, 100).ppf(0.5)) == pytest.approx(14.77, abs=0.005)
    assert np.log10(Chi(100).cdf(0.5)) == pytest.approx(-110, abs=1)
    assert np.log10(Chi(100).cdf(0.1)) == pytest.approx(-180, abs=1)
    mean, variance = moments(KilcherNorm(2, 200.0))
    assert mean**2 + variance == pytest.approx(100, rel=1e-9)


def test_norm_of_the_paper_reaches_4_2_times_the_median():
    median = float(Chi(100).ppf(0.5))
    r = np.geomspace(0.01, 4.2, 200) * median
    assert (Chi(100).cdf(r) > 1e-300).all()
    assert (Chi(100).sf(r) > 1e-300).all()
    np.testing.assert_allclose(transport(transport(r, Chi(100), Cauchy()), Cauchy(), Chi(100)), r, rtol=1e-12)


# Round trips and invariants


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_round_trip_through_cauchy(law):
    """1e-9 wherever both tails are at least 1e-300 (1e-6 for stable laws), checked from 1e-299.9 on."""
    p = np.concatenate([10 ** -np.linspace(0.302, 299.9, 1500), np.linspace(0.01, 0.5, 200)])
    x = np.concatenate([law.ppf(p), law.isf(p)])
    x = x[(np.abs(x) < 1e299) & (law.cdf(x) > 1.0001e-300) & (law.sf(x) > 1.0001e-300)]
    assert x.size > 500
    stable = isinstance(getattr(law, "size", law), StableNorm | StableSize)
    np.testing.assert_allclose(transport(transport(x, law, Cauchy()), Cauchy(), law), x, rtol=1e-6 if stable else 1e-9)
    c = np.concatenate([np.geomspace(1e-3, 1e290, 500), -np.geomspace(1e-3, 1e290, 500)])
    through = transport(c, Cauchy(), law)
    inside = (np.abs(through) < 1e299) & (np.abs(through) > 1e-299) & (np.abs(through) < 0.999 * law.support[1])
    # There the law's own float64 grid limits what comes back: one ulp of x times the slope.
    back = transport(through[inside], law, Cauchy())
    far = np.abs(np.log(np.abs(back / c[inside])))
    assert (far < (1e-6 if stable else 1e-7) * np.maximum(1, np.log(np.abs(c[inside])) ** 2)).all()


@pytest.mark.parametrize("law", COORDINATES + STABLE, ids=str)
def test_small_coordinates_round_trip(law):
    x = np.concatenate([[0.0], np.geomspace(1e-300, 1e-2, 300)])
    c = transport(x, law, Cauchy())
    assert c[0] == 0
    # A bounded or narrow density maps 1e-300 to 1e-300 times a constant; near 1e-308 digits are lost.
    fine = (c > 1e-300) & (x > 1e-298)
    np.testing.assert_allclose(transport(c, Cauchy(), law)[fine], x[fine], rtol=1e-9)
    assert (transport(-x, law, Cauchy()) == -c).all()


@pytest.mark.parametrize("law", LAWS, ids=str)
@settings(deadline=None, max_examples=12)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30))
def test_transports_are_finite_and_monotone(law, values):
    x = np.sort(np.array(values))
    for source, target in ((law, Cauchy()), (Cauchy(), law), (law, Normal())):
        y = transport(x, source, target)
        assert np.isfinite(y).all()
        assert (np.diff(y) >= -1e-13 * np.abs(y[1:])).all()
    assert ((law.cdf(x) >= 0) & (law.cdf(x) <= 1) & (law.sf(x) >= 0) & (law.sf(x) <= 1)).all()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_tails_add_up_and_quantiles_invert(law):
    p = np.array([1e-200, 1e-9, 0.01, 0.3, 0.5, 0.8, 1 - 1e-9])
    x = law.ppf(p)
    fine = (np.abs(x) < 0.9999 * min(law.support[1], 1e299)) & (np.abs(x) > 1e-299)
    assert fine.sum() >= 3
    np.testing.assert_allclose(law.cdf(x)[fine], p[fine], rtol=1e-7)
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1, rtol=1e-12)
    np.testing.assert_allclose(law.isf(p)[2:5], law.ppf(1 - p)[2:5], rtol=1e-9, atol=1e-12)
    assert np.isfinite(law.ppf([0.0, 1.0])).all()
    assert law.symmetric == (law.support[0] < 0)
    if law.symmetric:
        np.testing.assert_allclose(law.from_central(law.central([-0.4, 1e-9, 0.3])), [-0.4, 1e-9, 0.3], rtol=1e-9)


def test_transport_to_the_same_law_is_a_copy():
    x = np.array([1.0, 50.0])
    y = transport(x, Chi(3), Chi(3))
    assert (y == x).all()
    assert y is not x


# Laws with atoms, and bad input


def test_laws_with_atoms():
    atom, signs = Atom(2.0), Signs()
    assert atom.cdf([1.9, 2.0]).tolist() == [0, 1]
    assert atom.sf([1.9, 2.0]).tolist() == [1, 0]
    assert float(atom.ppf(0.5)) == 2
    assert signs.cdf([-2, -1, 0, 1]).tolist() == [0, 0.5, 0.5, 1]
    assert signs.ppf([0.3, 0.7]).tolist() == [-1, 1]
    law = WithZero(Normal(), 0.25)
    assert law.cdf([-1e-12, 0.0]) == pytest.approx([0.125, 0.875])
    np.testing.assert_allclose(law.sf(30.0), 0.25 * Normal().sf(30.0))
    assert law.ppf([0.2, 0.5, 0.8]).tolist() == [0, 0, 0]
    np.testing.assert_allclose(law.cdf(law.ppf([1e-100, 0.1, 0.95])), [1e-100, 0.1, 0.95])
    np.testing.assert_allclose(law.isf([1e-100, 0.1]), -law.ppf([1e-100, 0.1]))


@pytest.mark.parametrize("law", [Atom(1.0), Signs(), WithZero(Cauchy(), 0.5), Symmetrized(Atom(1.0))], ids=str)
def test_no_transport_with_atoms(law):
    assert not law.continuous
    for pair in ((law, Cauchy()), (Cauchy(), law)):
        with pytest.raises(ValueError, match="no monotone transport"):
            transport(0.3, *pair)
    with pytest.raises(ValueError, match="has no density"):
        Atom(1.0).logpdf(1.0)


def test_nan_and_probabilities_outside_the_unit_interval():
    def through(x):
        return transport(x, Normal(), Cauchy())

    for call in (Normal().cdf, Chi(3).sf, CauchyNorm(3).ppf, Cauchy().central, through):
        with pytest.raises(ValueError, match="NaN"):
            call([0.5, np.nan])
    with pytest.raises(ValueError, match=r"probability 1.5 is outside \[0, 1\]"):
        Normal().ppf([0.5, 1.5])
