"""Paths: exact values, invariants, extreme inputs, and the errors they raise."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hollow import interpolations, priors
from hollow.interpolations import CoordinateTransport, RadialTransport, linear, normalized, spherical
from hollow.laws import Atom, Cauchy, Normal, Uniform, transport

NORMAL = priors.get("normal", 3)
PATHS = {
    **{name: interpolations.get(name, NORMAL) for name in interpolations.names()},
    "transport-matched uniform": interpolations.get("transport-matched", priors.get("uniform", 3)),
    "cauchy-linear uniform": interpolations.get("cauchy-linear", priors.get("uniform", 3)),
    "gaussian-copula cauchy": interpolations.get("gaussian-copula", priors.get("cauchy", 3)),
    "spherical-cauchy-linear student-t": interpolations.get("spherical-cauchy-linear", priors.get("student-t", 3)),
}
N_POINT = [name for name in PATHS if "spherical" not in name and name != "transport-matched uniform"]
ROUND = [name for name in PATHS if "spherical" in name]
LAM = torch.tensor([0.0, 1e-300, 1e-9, 0.1, 0.5, 0.7, 1 - 1e-12, 1.0], dtype=torch.float64)


def draws(spec: str, dim: int, n: int, *seeds: int) -> list[torch.Tensor]:
    prior = priors.get(spec, dim)
    return [prior.sample(n, torch.Generator().manual_seed(seed)).double() for seed in seeds]


def defined(name: str, z0: torch.Tensor, z1: torch.Tensor) -> bool:
    """Whether slerp exists: no zero vector, no pair that is antiparallel to rounding."""
    if name not in ROUND:
        return True
    if not (z0.any() and z1.any()):
        return False
    u0, u1 = (z.double() / z.double().abs().max() for z in (z0, z1))
    return float((u0 / u0.norm() + u1 / u1.norm()).norm()) > 1e-5


def vectors(dtype: type) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    width = np.finfo(dtype).bits
    one = hnp.arrays(dtype, 3, elements=st.floats(allow_nan=False, allow_infinity=False, width=width))
    return st.tuples(one, one)


@pytest.mark.parametrize("name", PATHS)
@settings(deadline=None, max_examples=25)
@given(ends=st.one_of(vectors(np.float32), vectors(np.float64)))
def test_any_finite_endpoints_come_back_bitwise_and_nothing_else_is_infinite(name, ends):
    z0, z1 = map(torch.from_numpy, ends)
    assume(defined(name, z0, z1))
    points = PATHS[name](z0, z1, LAM)
    assert points.dtype == z0.dtype
    assert points.shape == (len(LAM), 3)
    assert torch.isfinite(points).all()
    # Bitwise: -0.0 and 0.0 are told apart.
    assert points[0].numpy().tobytes() == z0.numpy().tobytes()
    assert points[-1].numpy().tobytes() == z1.numpy().tobytes()


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.float32, 3e38),
        (torch.float32, 1e-45),
        (torch.float64, 1.7e308),
        (torch.float64, 5e-324),
        (torch.float16, 6e4),
        (torch.bfloat16, 3e38),
    ],
)
def test_extreme_sizes_stay_finite_and_keep_their_dtype(name, dtype, size):
    z0 = torch.tensor([[size, -size, size], [size, 1.0, -1.0]], dtype=torch.float64).to(dtype)
    z1 = torch.tensor([[size, size, 0.5], [1.0, size, size]], dtype=torch.float64).to(dtype)
    points = PATHS[name](z0, z1, LAM)
    assert points.dtype == dtype
    assert torch.isfinite(points).all()
    assert torch.equal(points[0], z0)
    assert torch.equal(points[-1], z1)


@pytest.mark.parametrize("name", N_POINT)
@settings(deadline=None, max_examples=15)
@given(
    points=hnp.arrays(np.float64, (3, 3), elements=st.floats(allow_nan=False, allow_infinity=False)),
    weights=hnp.arrays(np.float64, 3, elements=st.floats(allow_nan=False, allow_infinity=False)),
)
def test_combining_finite_points_with_finite_weights_is_finite(name, points, weights):
    assume(weights.any())
    assert torch.isfinite(PATHS[name].combine(torch.from_numpy(points), weights)).all()


@pytest.mark.parametrize("name", N_POINT)
def test_two_weighted_points_are_the_path_and_a_single_weight_is_the_point(name):
    z0, z1, z2 = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(1)).clamp(-0.99, 0.99)
    path = PATHS[name]
    for lam in (0.1, 0.3, 0.5, 0.9):
        torch.testing.assert_close(path.combine(torch.stack((z0, z1)), (1 - lam, lam)), path(z0, z1, lam)[0])
    three = torch.stack((z0, z1, z2))
    torch.testing.assert_close(path.combine(three, (0.3, 0.0, 0.7)), path(z0, z2, 0.7)[0])
    assert torch.equal(path.combine(three, (0, 1, 0)), z1)
    # The order of points is free, and so is the scale of the weights except for the plain sum.
    torch.testing.assert_close(path.combine(three, (0.2, 0.5, 0.3)), path.combine(three.flip(0), (0.3, 0.5, 0.2)))
    scaled = path.combine(three, (0.4, 1.0, 0.6))
    torch.testing.assert_close(scaled, path.combine(three, (0.2, 0.5, 0.3)) * (2 if name == "linear" else 1))


def test_combination_formulas_of_n_points():
    z = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    w = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)
    total = (w[:, None] * z).sum(0)
    stable = interpolations.get("transport-matched", priors.get("stable(alpha=1.5)", 3))
    expected = {"linear": total, "normalized": total / w.square().sum().sqrt(), "gaussian-copula": total / 5.3125**0.5}
    for name, value in expected.items():
        torch.testing.assert_close(PATHS[name].combine(z, w), value)
    torch.testing.assert_close(stable.combine(z, w), total / (w.abs() ** 1.5).sum() ** (1 / 1.5))
    # Cauchy-linear on a Cauchy prior with weights outside [0, 1] divides by the sum of abs(w).
    cauchy = interpolations.get("cauchy-linear", priors.get("cauchy", 3))
    torch.testing.assert_close(cauchy.combine(z, w), total / 3.75)


def test_gaussian_copula_with_a_mean_and_a_covariance_keeps_them():
    mean, factor = torch.tensor([3.0, -1.0]).double(), torch.tensor([[2.0, 0.0], [1.0, 0.5]]).double()
    noise = torch.randn(3, 200_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    z, w = mean + noise @ factor.T, torch.tensor([0.6, 0.9, -0.2], dtype=torch.float64)
    x = interpolations.gaussian_copula(z, w, mean)
    a, b = w.sum(), w.square().sum()
    torch.testing.assert_close(x, (1 - a / b.sqrt()) * mean + (w[:, None, None] * z).sum(0) / b.sqrt())
    torch.testing.assert_close(x.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(x.T), factor @ factor.T, atol=0.06, rtol=0)


@pytest.mark.parametrize(
    ("spec", "one", "other"),
    [
        ("cauchy", "cauchy-linear", "linear"),
        ("cauchy", "transport-matched", "linear"),
        ("cauchy-isotropic", "cauchy-linear", "linear"),
        ("normal", "gaussian-copula", "normalized"),
        ("normal", "transport-matched", "normalized"),
        ("stable(alpha=1.5)", "stable", "transport-matched"),
        ("half(normal, K=4)", "gaussian-copula", "normalized"),
        ("half(cauchy, K=4)", "cauchy-linear", "linear"),
    ],
)
def test_paths_that_are_the_same(spec, one, other):
    z0, z1 = draws(spec, 8, 50, 4, 5)
    prior = priors.get(spec, 8)
    lam = torch.linspace(0, 1, 9)
    x, y = (interpolations.get(name, prior)(z0, z1, lam) for name in (one, other))
    torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


def test_the_stable_family_contains_the_two_named_paths_and_agrees_with_the_scale_free_closed_form():
    z0, z1 = draws("uniform", 8, 50, 4, 5)
    uniform = priors.get("uniform", 8)
    for name, alpha in (("cauchy-linear", 1.0), ("gaussian-copula", 2.0)):
        x = interpolations.get("stable", uniform, alpha=alpha)(z0, z1, LAM)
        assert torch.equal(x, interpolations.get(name, uniform)(z0, z1, LAM))
    # The reference N(0, 2) of the stable law and N(0, 1) give one path: scales cancel.
    narrow = CoordinateTransport(Uniform(), 2.0)
    wide = CoordinateTransport(Uniform(), 2.0, reference=Normal(math.sqrt(2)))
    torch.testing.assert_close(narrow(z0, z1, LAM), wide(z0, z1, LAM), rtol=1e-12, atol=1e-12)
    # A law that is itself normal takes the transport through N(0, 1) and back to the same closed form.
    y0, y1 = (3 * z for z in draws("normal", 8, 50, 4, 5))
    through = CoordinateTransport(Normal(3.0), 2.0)
    torch.testing.assert_close(through(y0, y1, LAM), normalized(y0, y1, LAM), rtol=1e-12, atol=1e-12)


def test_cauchy_linear_against_mpmath_up_to_37_standard_deviations():
    mpmath.mp.dps = 50

    def inverse(z):
        return 1 / mpmath.tan(mpmath.pi * mpmath.erfc(z / mpmath.sqrt(2)) / 2)

    def forward(c, start):
        upper = mpmath.atan2(1, c) / mpmath.pi
        return mpmath.findroot(lambda z: mpmath.log(mpmath.erfc(z / mpmath.sqrt(2)) / 2) - mpmath.log(upper), start)

    path = CoordinateTransport(Normal())
    for z0, z1, lam in [(0.1, 5.6, 0.5), (1.0, 9.0, 0.3), (8.5, 20.0, 0.1), (30.0, 37.0, 0.001), (36.0, 37.0, 0.5)]:
        ends = torch.tensor([[z0], [z1]], dtype=torch.float64)
        point = float(path(*ends, lam))
        exact = forward((1 - lam) * inverse(mpmath.mpf(z0)) + lam * inverse(mpmath.mpf(z1)), point)
        assert point == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_sign_flips_between_5_and_37_standard_deviations(dtype):
    # Float32 Phi is 1 from 5.5 on; the Cauchy quantile of a rounded 1 is negative.
    z = torch.linspace(5, 37, 321, dtype=dtype).reshape(107, 3)
    for path in (PATHS["cauchy-linear"], PATHS["gaussian-copula"], PATHS["stable"]):
        for sign in (1, -1):
            points = path(sign * z, sign * z.flip(0, 1), torch.linspace(0, 1, 41)) * sign
            assert (points > 0).all()
            assert (path(sign * z, sign * z, [0.5]) * sign > 5 / 1.01).all()
    # The swapped composition in float32 does flip, so the assertion can fail.
    phi = 0.5 * (1 + torch.erf(torch.tensor(6.0) / math.sqrt(2)))
    assert torch.tan(math.pi * (phi - 0.5)) < 0


def test_beyond_the_clamp_the_map_is_monotone_and_finite():
    z = torch.linspace(-80, 80, 3201, dtype=torch.float64)
    points = CoordinateTransport(Normal())(z, torch.zeros_like(z) + 0.5, [0.25, 0.5])
    assert torch.isfinite(points).all()
    assert (points.diff() >= 0).all()
    radius = torch.logspace(-3, 3, 601, dtype=torch.float64)[:, None] * torch.ones(1, 100).double() / 10
    other = torch.ones(601, 100, dtype=torch.float64)
    norms = RadialTransport(priors.get("normal", 100).norm())(radius, other, [0.5])[0].norm(dim=-1)
    assert torch.isfinite(norms).all()
    assert (norms.diff() >= -1e-12).all()


@pytest.mark.parametrize("lam", [0.1, 0.3, 0.5, 0.8])
def test_transport_matched_uniform_is_the_law_of_the_linear_point_by_quadrature(lam):
    y = np.linspace(-0.99, 0.99, 41)
    # F_Y(y) = E F_U((y - (1 - lam) U) / lam), U on a fine midpoint grid.
    u = (np.arange(200_000) + 0.5) / 100_000 - 1
    law = [np.clip(((v - (1 - lam) * u) / lam + 1) / 2, 0, 1).mean() for v in y]
    z = torch.from_numpy(y)
    points = interpolations.get("transport-matched", priors.get("uniform", 41))(z, z, lam)[0]
    np.testing.assert_allclose(points, 2 * np.array(law) - 1, atol=1e-5)


def test_transport_matched_scaled_uniform_scales():
    prior = priors.get("scaled", 8, base="uniform", scale=3.0)
    z0, z1 = draws("uniform", 8, 20, 6, 7)
    one = interpolations.get("transport-matched", priors.get("uniform", 8))(z0, z1, LAM)
    torch.testing.assert_close(interpolations.get("transport-matched", prior)(3 * z0, 3 * z1, LAM), 3 * one)


@pytest.mark.parametrize("name", [*N_POINT, "transport-matched uniform"])
def test_odd_paths_between_antipodal_points_pass_exactly_through_the_origin(name):
    z = draws("uniform", 3, 20, 8)[0]
    assert not PATHS[name](z, -z, 0.5).any()


def test_slerp_on_known_vectors_in_the_plane():
    x, y = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 2.0]).double()
    lam = torch.linspace(0, 1, 5).double()
    angle = lam * torch.pi / 2
    torch.testing.assert_close(spherical(x, y, lam), torch.stack((angle.cos(), 2 * angle.sin()), -1))
    # Erratum 19: orthogonal points of equal norm give one curve at two speeds.
    one, other = (path(x, y / 2, 0.25)[0] for path in (spherical, normalized))
    assert one.norm() == pytest.approx(1)
    assert other.norm() == pytest.approx(1)
    assert math.degrees(math.atan2(*one.flip(0))) == pytest.approx(22.5)
    assert math.degrees(math.atan2(*other.flip(0))) == pytest.approx(18.4349, abs=1e-4)


@pytest.mark.parametrize("name", ROUND)
def test_parallel_points_get_the_continuous_limit(name):
    z = torch.tensor([0.3, -1.0, 2.0]).double()
    lam = torch.linspace(0, 1, 7)
    limit = PATHS[name](z, 1.5 * z, lam)
    nearby = PATHS[name](z, 1.5 * z + torch.tensor([1e-7, 0, 0]), lam)
    torch.testing.assert_close(limit, nearby, atol=1e-6, rtol=0)
    if name == "spherical":
        torch.testing.assert_close(limit, linear(z, 1.5 * z, lam))


@pytest.mark.parametrize("name", ["spherical", "spherical-cauchy-linear"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_antiparallel_points_need_a_pole_and_then_pass_through_it(name, dtype):
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(9)).to(dtype)
    with pytest.raises(ValueError, match="antiparallel"):
        interpolations.get(name, NORMAL)(z, -2.3 * z, 0.5)
    pole = torch.tensor([0.2, 1.0, -0.4])
    path = interpolations.get(name, NORMAL, pole=pole)
    points = path(z, -z, [0.0, 0.25, 0.5, 1.0])
    across = pole - (pole * z).sum(-1, keepdim=True) / z.square().sum(-1, keepdim=True) * z
    middle = across / across.norm(dim=-1, keepdim=True) * z.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(points[2], middle.to(dtype), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(points.norm(dim=-1), z.norm(dim=-1).expand(4, -1), rtol=1e-5, atol=0)
    assert torch.equal(points[3], -z)
    with pytest.raises(ValueError, match="pole"):
        interpolations.get(name, NORMAL, pole=z[0])(z, -z, 0.5)
    # Points that are merely close to antiparallel need none and ignore it.
    off = -z + 1e-4 * torch.randn(4, 3, generator=torch.Generator().manual_seed(10)).to(dtype)
    assert torch.equal(path(z, off, LAM), interpolations.get(name, NORMAL)(z, off, LAM))


def test_spherical_cauchy_linear_is_slerp_where_the_norms_are_equal():
    z0, z1 = draws("normal", 100, 20, 11, 12)
    z1 *= (z0.norm(dim=-1) / z1.norm(dim=-1))[:, None]
    path = interpolations.get("spherical-cauchy-linear", priors.get("normal", 100))
    torch.testing.assert_close(path(z0, z1, LAM), spherical(z0, z1, LAM), rtol=1e-9, atol=1e-9)


def test_spherical_cauchy_linear_takes_norms_along_cauchy_linear():
    z0, z1 = draws("normal", 100, 20, 11, 12)
    law = priors.get("normal", 100).norm()
    points = RadialTransport(law)(z0, z1, [0.3])[0]
    c0, c1 = (transport(z.norm(dim=-1).numpy(), law, Cauchy()) for z in (z0, z1))
    np.testing.assert_allclose(points.norm(dim=-1), transport(0.7 * c0 + 0.3 * c1, Cauchy(), law), rtol=1e-12)


@pytest.mark.parametrize("name", interpolations.names())
@pytest.mark.parametrize("kept", ["half", "orthogonal"])
def test_half_priors_keep_their_zeros_exactly(name, kept):
    prior = priors.get(kept, 8, base="normal", K=4)
    z0, z1 = (prior.sample(30, torch.Generator().manual_seed(seed)) for seed in (13, 14))
    points = interpolations.get(name, prior)(z0, z1, LAM)
    zero = slice(4, None) if kept == "half" else slice(4)
    assert not points[..., zero].any()
    assert points[4].any(-1).all()


@pytest.mark.parametrize("name", interpolations.names())
def test_a_million_dimensions(name):
    dim = 1_000_000
    prior = priors.get("normal", dim)
    z0, z1 = (prior.sample(1, torch.Generator().manual_seed(seed))[0] for seed in (15, 16))
    points = interpolations.get(name, prior)(z0, z1, [0.0, 0.5])
    assert points.shape == (2, dim)
    expected = math.sqrt(dim / 2) if name == "linear" else math.sqrt(dim)
    assert float(points[1].norm()) == pytest.approx(expected, rel=0.01)
    assert torch.equal(points[0], z0)


def test_shapes_positions_and_dtypes():
    z0, z1 = torch.zeros(2, 5, 3), torch.ones(2, 5, 3)
    for path in (linear, normalized, PATHS["cauchy-linear"], PATHS["transport-matched uniform"]):
        assert path(z0, z1, 0.5).shape == (1, 2, 5, 3)
        assert path(z0, z1, [0.0, 0.5, 1.0, 0.2]).shape == (4, 2, 5, 3)
        assert path(z0, z1, np.zeros(0)).shape == (0, 2, 5, 3)
        assert path(z0, z1.double(), torch.tensor(0.5)).dtype == torch.float64
    z0, z1 = (torch.randn(3, requires_grad=True) for _ in range(2))
    for path in (linear, normalized, spherical):
        assert torch.autograd.grad(path(z0, z1, [0.3]).sum(), z0)[0].abs().sum() > 0


class Own:
    dim = 3

    def sample(self, n, generator=None):
        return torch.zeros(n, 3)


Z = torch.ones(3)
BAD_CALLS = {
    "shape": (lambda: linear(torch.ones(3), torch.ones(4), 0.5), r"z0 has shape \(3,\) and z1 \(4,\)"),
    "nan": (lambda: linear(Z * math.nan, Z, 0.5), "z0 holds NaN"),
    "infinite": (lambda: normalized(Z, Z / 0, 0.5), "z1 holds NaN or infinite"),
    "integers": (lambda: linear(torch.ones(3, dtype=torch.int64), Z, 0.5), "floating point"),
    "scalar": (lambda: linear(Z[0], Z[0], 0.5), "shape"),
    "lam below": (lambda: linear(Z, Z, -0.1), r"expected positions in \[0, 1\]"),
    "lam above": (lambda: PATHS["cauchy-linear"](Z, Z, [0.5, 1.5]), r"\[0, 1\]"),
    "lam nan": (lambda: linear(Z, Z, math.nan), r"\[0, 1\]"),
    "lam matrix": (lambda: linear(Z, Z, torch.zeros(2, 2)), "lam has shape"),
    "zero vector": (lambda: spherical(Z, 0 * Z, 0.5), "z1 holds a zero vector"),
    "antiparallel": (lambda: spherical(Z, -Z, 0.5), "antiparallel"),
    "weights": (lambda: PATHS["linear"].combine(torch.ones(2, 3), [0.5]), r"weights have shape \(1,\)"),
    "zero weights": (lambda: PATHS["linear"].combine(torch.ones(2, 3), [0.0, 0.0]), "not all zero"),
    "nan weights": (lambda: PATHS["normalized"].combine(torch.ones(2, 3), [0.5, math.nan]), "finite"),
    "nan points": (lambda: PATHS["linear"].combine(torch.ones(2, 3) * math.nan, [0.5, 0.5]), "points holds NaN"),
    "no n-point form": (lambda: PATHS["spherical"].combine(torch.ones(2, 3), [1, 2]), "those that have one: linear"),
    "uniform has none": (lambda: PATHS["transport-matched uniform"].combine(torch.ones(2, 3), [1, 2]), "no form for n"),
    "path": (lambda: interpolations.get("slerp"), "unknown path 'slerp'; expected one of linear, spherical"),
    "parameter": (lambda: interpolations.get("linear", alpha=1.0), "'linear' has no parameter 'alpha'"),
    "alpha": (lambda: interpolations.get("stable", NORMAL, alpha=2.5), r"alpha is 2.5; expected a number in \(0, 2\]"),
    "alpha in words": (lambda: interpolations.get("stable", NORMAL, alpha="x"), "alpha is 'x'; expected a number"),
    "lam in words": (lambda: linear(*torch.ones(2, 1, 3), "x"), r"lam is 'x'; expected a number or shape \(T,\)"),
    "pole of other length": (
        lambda: spherical(torch.ones(1, 3), -torch.ones(1, 3), 0.5, pole=torch.ones(2)),
        r"pole does not fit latents of shape .*; expected \(3,\)",
    ),
    "no prior": (lambda: interpolations.get("cauchy-linear"), "depends on the prior"),
    "atom": (lambda: RadialTransport(Atom(1.0)), "atom"),
    "own prior": (lambda: interpolations.get("cauchy-linear", Own()), r"no marginal\(\)"),
    "own norm": (lambda: interpolations.get("spherical-cauchy-linear", Own()), r"no norm\(\)"),
    "prior by name": (lambda: interpolations.get("cauchy-linear", "cauchy"), r"'cauchy'; .*get\('cauchy', 100\)"),
    "no prior at all": (lambda: interpolations.get("linear", 5), r"prior is 5; expected an object with dim and sample"),
    "alpha in the name": (
        lambda: interpolations.get("stable(alpha=3)", NORMAL),
        r"unknown path .*by keyword: get\('stable', prior, alpha=3\)",
    ),
    "dimension": (lambda: PATHS["spherical-cauchy-linear"](*torch.ones(2, 2, 4), 0.5), r"z0 has shape \(2, 4\).*D = 3"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_one_clear_line(case):
    call, message = BAD_CALLS[case]
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "spec", "reason"),
    [
        ("cauchy-linear", "discrete", "atoms"),
        ("gaussian-copula", "discrete", "atoms"),
        ("stable", "sparse(normal, K=5)", "atoms"),
        ("transport-matched", "sparse(uniform, K=5)", "atoms"),
        ("transport-matched", "student-t", "gaussian-copula"),
        ("spherical-cauchy-linear", "sphere", "use 'spherical'"),
        ("spherical-cauchy-linear", "cauchy", "not isotropic"),
        ("spherical-cauchy-linear", "uniform", "not isotropic.*try 'cauchy-linear'"),
        ("spherical-cauchy-linear", "discrete", "not isotropic.*try 'linear' or 'spherical'"),
        ("spherical-cauchy-linear", "sparse(normal, K=5)", "not isotropic.*try 'linear' or 'spherical'"),
        ("spherical-cauchy-linear", "half(cauchy, K=5)", "not isotropic"),
    ],
)
def test_paths_that_do_not_exist_for_a_prior_say_why(name, spec, reason):
    with pytest.raises(ValueError, match=f"{name}.*does not exist.*{reason}") as raised:
        interpolations.get(name, priors.get(spec, 10))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", interpolations.names())
def test_only_the_path_that_uses_the_law_of_the_norm_insists_on_its_dimension(name):
    path = interpolations.get(name, priors.get("normal", 5))
    z0, z1 = draws("normal", 5, 2, 19, 20)
    assert path(z0, z1, 0.5).shape == (1, 2, 5)
    if name == "spherical-cauchy-linear":
        with pytest.raises(ValueError, match=r"shape \(2, 4\); path .* D = 5, so it expects \(..., 5\)$"):
            path(z0[:, :4], z1[:, :4], 0.5)
    else:
        assert path(z0[:, :4], z1[:, :4], 0.5).shape == (1, 2, 4)


@pytest.mark.parametrize(("spec", "alpha"), [("scaled(stable(alpha=1.3), scale=2)", 1.3), ("half(cauchy, K=2)", 1.0)])
def test_transport_matched_finds_the_index_of_stability(spec, alpha):
    assert interpolations.get("transport-matched", priors.get(spec, 4)).alpha == alpha


def test_a_path_of_ones_own_takes_a_law():
    z0, z1 = draws("student-t(nu=2)", 4, 10, 17, 18)
    path = CoordinateTransport(priors.get("student-t(nu=2)", 4).marginal(), alpha=1.0)
    assert torch.equal(path(z0, z1, [0, 1]), torch.stack((z0, z1)))
