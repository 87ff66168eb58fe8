"""Properties 1-4 as tests: the table of priors and paths, negative controls, false alarms, course of a path."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from hollow import interpolations, priors, two_sample
from hollow.interpolations import CoordinateTransport, RadialTransport, linear, normalized, spherical
from hollow.laws import Cauchy, Normal, Uniform
from hollow.properties import LEVEL, Verdict, check, combined, detour, law_test, length, peak_speed


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def verdicts(prior, path, n=1000, seed=0):
    return check(prior, path, generator=seeded(seed), n=n, permutations=2000)


# Prior, dimension, path, and which of properties 1-4 hold (y or n): section 3 of the definitions.
TABLE = [
    ("normal", 40, "linear", "yyyn"),
    ("cauchy", 20, "linear", "yyyy"),
    ("cauchy-isotropic", 20, "linear", "yyyy"),
    ("half(cauchy, K=10)", 20, "linear", "yyyy"),
    ("uniform", 40, "linear", "yyyn"),
    ("kilcher", 40, "linear", "yyyn"),
    ("sparse(cauchy, K=10)", 20, "linear", "yyyn"),
    ("sphere", 20, "spherical", "ynyy"),
    ("sphere", 2, "spherical", "ynyy"),
    ("sphere(radius=4)", 20, "spherical", "ynyy"),
    ("cauchy-isotropic", 20, "spherical", "ynnn"),
    ("normal", 20, "normalized", "ynny"),
    ("half(normal, K=10)", 20, "normalized", "ynny"),
    ("scaled(normal, scale=3)", 20, "normalized", "ynny"),
    ("cauchy", 20, "normalized", "ynnn"),
    ("sphere", 20, "normalized", "ynnn"),
    ("normal", 20, "cauchy-linear", "ynyy"),
    ("uniform", 20, "cauchy-linear", "ynyy"),
    ("cauchy", 20, "cauchy-linear", "yyyy"),
    ("stable(alpha=1.5)", 20, "cauchy-linear", "ynyy"),
    ("half(uniform, K=10)", 20, "cauchy-linear", "ynyy"),
    ("normal", 20, "spherical-cauchy-linear", "ynyy"),
    ("student-t(nu=3)", 20, "spherical-cauchy-linear", "ynyy"),
    ("kilcher", 20, "spherical-cauchy-linear", "ynyy"),
    ("half(normal, K=10)", 20, "spherical-cauchy-linear", "ynyy"),
    ("uniform", 20, "transport-matched", "ynny"),
    ("cauchy", 20, "transport-matched", "yyyy"),
    ("stable(alpha=1.5)", 20, "transport-matched", "ynny"),
    ("uniform", 20, "gaussian-copula", "ynny"),
    ("cauchy", 20, "gaussian-copula", "ynny"),
    ("uniform", 20, "stable", "ynny"),
    ("normal", 20, "stable", "ynny"),
]


@pytest.mark.parametrize(("spec", "dim", "name", "expected"), TABLE)
def test_the_table_of_priors_and_paths(spec, dim, name, expected):
    prior = priors.get(spec, dim)
    report = verdicts(prior, interpolations.get(name, prior))
    assert report.holds == tuple(letter == "y" for letter in expected), str(report)
    assert ("off antiparallel pairs and zero vectors" in report[1].detail) == ("spherical" in name)
    assert ("great circle" in report[2].detail) == ("spherical" in name)


def law_of(points):
    return float(points.std()), float(points.norm(dim=-1).mean()), float(points.norm(dim=-1).std())


# Wrong paths with the right endpoints. None stands for a moment that the definitions do not quote.
CONTROLS = {
    "g swapped, normal": ("normal", CoordinateTransport(Cauchy(), reference=Normal()), (0.631, None, None)),
    "g swapped, uniform": ("uniform", CoordinateTransport(Cauchy(), reference=Uniform()), (0.390, None, None)),
    "lerp of Phi": ("normal", CoordinateTransport(Normal(), reference=Uniform()), (0.603, None, None)),
    "g swapped, norms": (
        "normal",
        RadialTransport(Cauchy(), reference=priors.get("normal", 100).norm()),
        (None, None, 0.500),
    ),
    "slerp": ("normal", interpolations.get("spherical"), (None, 9.988, 0.499)),
    "linear": ("normal", interpolations.get("linear"), (None, 7.053, 0.499)),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_negative_controls_are_rejected_with_the_moments_that_theory_gives(control):
    spec, path, moments = CONTROLS[control]
    prior = priors.get(spec, 100)
    report = verdicts(prior, path, n=4000, seed=1)
    assert not report[4].holds
    assert report[4].p_value < LEVEL
    z0, z1 = prior.sample((2, 4000), seeded(2))
    errors = (0.005, 0.05, 0.03)  # over four standard errors of 4,000 points
    for measured, exact, error in zip(law_of(path(z0, z1, 0.5)[0]), moments, errors, strict=True):
        if exact is not None:
            assert measured == pytest.approx(exact, abs=error)


@pytest.mark.parametrize(
    ("spec", "name", "moments"),
    [
        ("normal", "cauchy-linear", (1.0, 9.975, 0.706)),
        ("normal", "spherical-cauchy-linear", (1.0, 9.975, 0.706)),
        ("uniform", "cauchy-linear", (0.577, 5.768, 0.259)),
    ],
)
def test_the_right_paths_keep_the_moments_that_the_controls_lose(spec, name, moments):
    prior = priors.get(spec, 100)
    z0, z1 = prior.sample((2, 4000), seeded(2))
    measured = law_of(interpolations.get(name, prior)(z0, z1, 0.5)[0])
    assert measured == pytest.approx(moments, abs=0.05)
    assert measured[2] == pytest.approx(moments[2], abs=0.03)


def test_four_sigma_inside_the_shell_and_the_larger_coordinate_wins():
    prior = priors.get("normal", 100)
    z0, z1 = prior.sample((2, 4000), seeded(3))
    middle = float(linear(z0, z1, 0.5)[0].norm(dim=-1).mean())
    assert (9.97503 - middle) / math.sqrt(0.49874) == pytest.approx(4.14, abs=0.05)
    winner = torch.where(z0.abs() > z1.abs(), z0, z1)
    point = interpolations.get("cauchy-linear", prior)(z0, z1, 0.5)[0]
    assert float(torch.cosine_similarity(point, winner).mean()) == pytest.approx(0.97, abs=0.005)


# Each coordinate keeps its law; the coordinates of an isotropic law are dependent, which these paths break.
MARGINAL_ONLY = {
    "gaussian-copula on cauchy-isotropic": ("cauchy-isotropic", 100, 2.0, 2000),
    "gaussian-copula on student-t": ("student-t(nu=3)", 50, 2.0, 3000),
    "cauchy-linear on student-t": ("student-t(nu=0.3)", 50, 1.0, 6000),
    "cauchy-linear on the sphere": ("sphere", 3, 1.0, 1000),
}


@pytest.mark.parametrize("control", MARGINAL_ONLY)
def test_right_marginals_and_a_wrong_joint_law_are_rejected(control):
    spec, dim, alpha, n = MARGINAL_ONLY[control]
    prior = priors.get(spec, dim)
    z0, z1, fresh = prior.sample((3, n), seeded(4)).double()
    points = CoordinateTransport(prior.marginal(), alpha)(z0, z1, 0.5)[0]
    tests = law_test(points, fresh, seeded(5))
    assert combined(tests) < LEVEL
    assert tests[0].name == "coordinate"
    assert tests[0].p_value > 1e-3


def test_cauchy_linear_on_cauchy_isotropic_is_linear_and_keeps_the_law():
    # Its coordinates are Cauchy, so g is the identity, and the linear path keeps every strictly 1-stable law.
    prior = priors.get("cauchy-isotropic", 20)
    path = interpolations.get("cauchy-linear", prior)
    z0, z1 = prior.sample((2, 50), seeded(6))
    torch.testing.assert_close(path(z0, z1, [0.3]), linear(z0, z1, [0.3]))
    assert verdicts(prior, path, n=4000).holds == (True, True, True, True)


def test_slerp_has_property_3_only_where_the_norms_are_equal():
    class Pair:
        """The counterexample of the errata as a prior: (1, 0) and (0, r), in turns."""

        dim = 2

        def __init__(self, r):
            self.points = torch.tensor([[1.0, 0.0], [0.0, r]])

        def sample(self, n, generator=None):
            self.points = self.points.flip(0)
            return self.points.repeat(n // 2, 1)

    unequal, equal = (verdicts(Pair(r), spherical, n=20)[3] for r in (2.0, 1.0))
    assert equal.holds
    assert not unequal.holds
    assert unequal.value > 0.01
    law = priors.get("normal", 2).norm()
    assert verdicts(Pair(2.0), RadialTransport(law), n=20)[3].holds


def jump_in_lam(z0, z1, lam):
    lam = torch.as_tensor(lam, dtype=z0.dtype)
    return linear(z0, z1, torch.where(lam > 0.618, lam, 0.95 * lam))


def jump_in_z0(z0, z1, lam):
    return linear(z0 * torch.where(z0[..., :1] > 0, 1.0, 0.9), z1, lam)


def jump_in_z1(z0, z1, lam):
    return linear(z0, z1 * torch.where(z1[..., :1] > 0, 1.0, 0.9), lam)


def not_a_number(z0, z1, lam):
    return linear(z0, z1, lam).where(z0 > -1, torch.nan)


def steep(z0, z1, lam):
    lam = torch.as_tensor(lam, dtype=z0.dtype)
    return linear(z0, z1, (1 + torch.erf(1e4 * (lam - 0.37))) / 2)


@pytest.mark.parametrize("path", [jump_in_lam, jump_in_z0, jump_in_z1, not_a_number])
def test_discontinuous_paths_fail_property_1_with_a_counterexample(path):
    verdict = verdicts(priors.get("normal", 5), path, n=100)[1]
    assert not verdict.holds
    assert verdict.value > 10 * verdict.tolerance
    z0, z1 = verdict.counterexample
    assert z0.shape == z1.shape == (5,)


def test_a_steep_path_is_continuous():
    assert verdicts(priors.get("normal", 5), steep, n=100)[1].holds


def test_slerp_written_the_usual_way_is_reported_as_singular():
    def naive(z0, z1, lam):
        lam = torch.as_tensor(lam, dtype=z0.dtype).reshape(-1, *[1] * z0.ndim)
        omega = torch.acos(torch.cosine_similarity(z0, z1, dim=-1))[..., None]
        return (torch.sin((1 - lam) * omega) * z0 + torch.sin(lam * omega) * z1) / torch.sin(omega)

    report = verdicts(priors.get("sphere", 20), naive, n=500)
    assert report[1].holds
    assert report[1].detail == "off antiparallel pairs and zero vectors"
    assert report[4].holds


@pytest.mark.parametrize("n", [1, 2, 7, 16, 40, 100])
def test_small_samples_have_the_exact_law_of_the_distance(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 1.0, 9.0):
        a, b = rng.normal(size=n), rng.normal(size=n) + shift
        exact = stats.ks_2samp(a, b, method="exact")
        assert two_sample._at_least(exact.statistic, n) == pytest.approx(exact.pvalue, rel=1e-9)
    assert stats.kstwo.sf(1.0, 8) < two_sample._at_least(1.0, 16) / 100  # the law of large samples is wrong here


def test_a_reader_checks_a_prior_and_a_path_of_their_own_in_three_lines():
    class Laplace:
        dim = 4

        def sample(self, n, generator=None):
            u = torch.rand(n, self.dim, 2, generator=generator).clamp_min(1e-9).log()
            return u[..., 0] - u[..., 1]

    report = check(Laplace(), lambda z0, z1, lam: linear(z0, z1, lam), generator=seeded(0))
    assert report.holds == (True, True, True, False)
    text = str(report)
    assert text.startswith("<lambda> on Laplace (D = 4)")
    assert "4 keeps the law" in text
    assert "projection 2" in text
    assert report[4].p_value == report[4].value < LEVEL
    assert report[2].p_value is None
    assert len(report[4].tests) == 15
    assert {test.lam for test in report[4].tests} == {0.1, 0.3, 0.5}
    assert isinstance(report[1], Verdict)
    for options, words in (
        ({"n": 5}, "n is 5"), ({"lams": ()}, "lams is empty"), ({"permutations": 0}, "permutations is 0")
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            check(Laplace(), linear, **options)


def test_the_example_of_the_book_runs_and_finds_a_straight_path():
    text = (Path(__file__).parents[1] / "book" / "how_to_run.md").read_text()
    snippet = text.split("```python\n")[-1].split("```")[0]
    assert "properties.check(prior, lambda" in snippet
    space = {}
    exec(snippet.replace("print(", "report = ("), space)
    assert space["report"].holds == (True, True, True, False)


def test_paths_get_rows_of_latents_and_a_row_of_positions():
    seen = set()

    def path(z0, z1, lam):
        seen.add((z0.ndim, z1.shape == z0.shape, lam.ndim, z0.dtype, lam.dtype))
        return linear(z0, z1, lam)

    assert verdicts(priors.get("cauchy", 5), path, n=100).holds == (True, True, True, True)
    assert seen == {(2, True, 1, torch.float64, torch.float64)}


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_a_line_between_draws_of_a_very_heavy_tail_is_straight(alpha):
    heavy = verdicts(priors.get(f"stable(alpha={alpha})", 3), linear, n=20)
    assert heavy[2].holds, heavy[2].value
    assert not verdicts(priors.get(f"stable(alpha={alpha})", 3), normalized, n=20)[2].holds


def test_a_path_that_is_not_a_number_has_an_infinite_residual_and_equal_ends_a_straight_line():
    broken = verdicts(NORMAL, lambda a, b, t: linear(a, b, t) * torch.nan, n=20)
    assert [broken[k].value for k in (1, 2, 3)] == [math.inf] * 3
    assert check(Own(lambda n: torch.zeros(n, 2)), linear, n=20)[2].holds


class Own:
    """A prior of the reader's own."""

    dim = 2

    def __init__(self, draw):
        self.sample = lambda n, generator=None: draw(n)


NORMAL = priors.get("normal", 5)


@pytest.mark.parametrize(
    ("prior", "path", "words"),
    [
        ("normal", linear, r"prior is 'normal'; expected an object with dim and sample.*priors.get\('normal', 100\)"),
        (priors.Normal, linear, "prior is <class"),
        (torch.zeros(3, 3), linear, "prior is tensor"),
        (NORMAL, "cauchy-linear", r"path is 'cauchy-linear'; .*interpolations.get\('cauchy-linear', prior\)"),
        (NORMAL, None, r"path is None; .*interpolations.get\('linear', prior\)"),
        (NORMAL, lambda z0, z1, lam: z0, r"path returned a Tensor of shape \(\d+, 5\).* expected .*\(T, n, D\)"),
        (NORMAL, lambda z0, z1, lam: z0 + lam[:, None] * (z1 - z0)[:1], "path returned a Tensor"),
        (NORMAL, lambda z0, z1, lam: None, "path returned a NoneType"),
        (Own(lambda n: torch.zeros(n, 5)), linear, r"Own.sample\(20, generator\) is a torch.float32 Tensor of shape"),
        (Own(lambda n: np.zeros((n, 2))), linear, "is a ndarray; expected a floating Tensor"),
        (Own(lambda n: torch.full((n, 2), torch.nan)), linear, "holds NaN or infinity"),
    ],
)
def test_bad_input_is_one_clear_line(prior, path, words):
    with pytest.raises(ValueError, match=words) as raised:
        check(prior, path, n=20)
    assert "\n" not in str(raised.value)


def repeated(scale, repeats=60, n=60, dim=3):
    """p-values of each test, repeats by tests, for normal samples of which one is scaled."""
    generator = seeded(7)
    rows = []
    for _ in range(repeats):
        x, y = torch.randn(2, n, dim, generator=generator)
        rows.append([test.p_value for test in law_test(scale * x, y, generator, permutations=999)])
    return np.array(rows)


def false_alarms(p):
    """p-value of p-values being at least as large as uniform ones, by counts below three levels."""
    counts = [(int((p <= level).sum()), level) for level in (0.05, 0.2, 0.5)]
    return min(stats.binomtest(count, p.size, level, "greater").pvalue for count, level in counts) * 3


def test_the_tests_of_a_law_raise_no_false_alarm_and_the_right_ones():
    null, scaled = repeated(1.0), repeated(1.6)
    for k in range(null.shape[1]):
        assert false_alarms(null[:, k]) > 1e-4
        assert false_alarms(scaled[:, k]) < 1e-4
    bonferroni = np.minimum(1, null.shape[1] * null.min(1))
    assert false_alarms(bonferroni) > 1e-4
    assert false_alarms(np.minimum(1, scaled.shape[1] * scaled.min(1))) < 1e-4
    # Conservative, not blind: a good part of the p-values of a true hypothesis are small.
    assert 0.3 < float((null <= 0.5).mean()) < 0.6


def test_the_energy_test_sees_dependence_that_marginals_hide_and_reaches_small_p():
    generator = seeded(8)
    x = torch.randn(400, 2, generator=generator)
    twin = torch.stack((x[:, 0], x[:, 0]), 1)  # standard normal coordinates, equal to one another
    energy = law_test(twin, torch.randn(400, 2, generator=generator), generator)[-1]
    assert energy.name == "energy"
    assert energy.p_value == 1 / 200_001
    assert 15 * energy.p_value < LEVEL


def test_rounding_on_atoms_rejects_nothing_and_a_real_shift_is_seen():
    generator = seeded(9)
    sphere = priors.get("sphere", 50).sample((2, 2000), generator)
    noisy = sphere[0].double() * (1 + 1e-7 * torch.randn(2000, 1, generator=generator))
    assert combined(law_test(noisy, sphere[1], generator)) > 1e-4
    assert combined(law_test(1.0001 * noisy, sphere[1], generator)) < 1e-4
    signs = priors.get("discrete", 50).sample((2, 2000), generator)
    noise = 1e-7 * torch.randn(2000, 50, generator=generator)
    assert combined(law_test(signs[0] + noise, signs[1], generator)) > 1e-4
    zero = torch.zeros(100, 5)
    assert combined(law_test(zero, zero, generator)) == 1
    assert combined(law_test(zero + torch.nan, zero, generator)) == 0


def test_heavy_tails_are_compared_without_a_mean():
    generator = seeded(10)
    x, y = priors.get("cauchy", 10).sample((2, 1000), generator)
    assert combined(law_test(x, y, generator)) > 1e-4
    coordinate, *_, energy = law_test(3 * x, y, generator, permutations=20_000)
    assert energy.p_value < 1e-4
    assert coordinate.spread == pytest.approx(3, rel=0.3)


def test_length_detour_and_peak_speed_of_known_curves():
    angle = torch.linspace(0, torch.pi / 2, 2001, dtype=torch.float64)
    circle = torch.stack((angle.cos(), angle.sin()), -1)[:, None].expand(-1, 3, -1)
    torch.testing.assert_close(length(circle), torch.full((3,), torch.pi / 2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(detour(circle), torch.full((3,), 1.110721).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(peak_speed(circle), torch.ones(3).double(), atol=1e-6, rtol=0)
    line = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None] ** 2 * torch.ones(4).double()
    assert float(detour(line)) == pytest.approx(1)
    assert float(peak_speed(line)) == pytest.approx(2, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "medians", "means"),
    [
        ("cauchy-linear", (1.35, 6.6), None),
        ("normalized", (1.11, 1.28), None),
        ("spherical", (1.11, 1.03), (1.11, 1.04)),
        ("spherical-cauchy-linear", (1.11, 1.03), (1.115, None)),
    ],
)
def test_course_of_the_paths_on_a_normal_prior(name, medians, means):
    prior = priors.get("normal", 100)
    z0, z1 = prior.sample((2, 400), seeded(11)).double()
    # Peaks are read on this grid; cauchy-linear reaches higher ones on a finer grid.
    points = interpolations.get(name, prior)(z0, z1, torch.linspace(0, 1, 257))
    course = (detour(points), peak_speed(points))
    spread = 0.6 if name == "cauchy-linear" else 0.02  # three standard errors of the median of 400 pairs
    for value, exact, error in zip(course, medians, (0.01, spread), strict=True):
        assert float(value.median()) == pytest.approx(exact, abs=error)
    for value, exact in zip(course, means or (), strict=False):
        if exact is not None:
            assert float(value.mean()) == pytest.approx(exact, abs=0.01)


def test_normalized_paths_are_uneven_where_slerp_is_even():
    z0, z1 = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    lam = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert float(peak_speed(spherical(z0, z1, lam))) == pytest.approx(1, abs=1e-5)
    # d angle / d lam is 1 / (1 - 2 lam + 2 lam^2): 2 in the middle, over a mean of pi / 2.
    assert float(peak_speed(normalized(z0, z1, lam))) == pytest.approx(4 / math.pi, abs=1e-3)
