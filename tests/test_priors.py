"""Priors: draws against their exact laws with controls that fail, facts, densities, specs, bad input."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hollow import priors
from hollow.laws import Atom, Cauchy, Normal, Scaled

DENSE = [
    "normal",
    "uniform",
    "sphere",
    "sphere(radius=10)",
    "discrete",
    "cauchy",
    "cauchy-isotropic",
    "student-t(nu=3)",
    "student-t(nu=0.4)",
    "stable(alpha=0.6)",
    "stable(alpha=1.5)",
    "stable(alpha=2)",
    "kilcher",
    "kilcher(k=1, theta=30)",
]
DERIVED = [
    "sparse(normal, K=5)",
    "sparse(cauchy, K=5)",
    "sparse(kilcher, K=5)",
    "sparse(discrete, K=5)",
    "half(uniform, K=5)",
    "half(stable(alpha=1.5), K=5)",
    "half(sphere, K=5)",
    "half(student-t(nu=3), K=5)",
    "orthogonal(normal, K=5)",
    "scaled(cauchy, scale=0.5)",
    "scaled(sparse(uniform, K=5), scale=2)",
]
EVERY = DENSE + DERIVED
N, DIM = 20_000, 20


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(spec, dim=DIM, n=N, seed=1):
    prior = priors.get(spec, dim)
    return prior, prior.sample(n, generator(seed), dtype=torch.float64).numpy()


def p_value(values, law):
    """Kolmogorov-Smirnov test of a continuous law, exact in its tails as far as the law is."""
    return scipy.stats.kstest(values, law.cdf).pvalue


# Draws against exact laws. A test fails below 1e-4; each has a control that must.


@pytest.mark.parametrize("spec", [s for s in EVERY if priors.get(s, DIM).norm().continuous])
def test_norms_have_their_law(spec):
    prior, z = draws(spec)
    r = np.linalg.norm(z, axis=1)
    assert p_value(r, prior.norm()) > 1e-4
    assert p_value(r, Scaled(prior.norm(), 1.05 if spec in ("normal", "uniform") else 1.3)) < 1e-4
    below = (r < prior.median_norm).mean()
    assert abs(below - 0.5) < 4 * 0.5 / math.sqrt(N)


@pytest.mark.parametrize("spec", [s for s in DENSE if priors.get(s, DIM).marginal().continuous])
def test_coordinates_have_their_law(spec):
    prior, z = draws(spec)
    x = z[:, 3] if prior.isotropic else z[:, 3:9].ravel()
    assert p_value(x, prior.marginal()) > 1e-4
    control = Scaled(prior.marginal(), 1.12 if prior.isotropic else 1.05)
    assert p_value(x if prior.product or "stable" in spec else z[:, 3:9].ravel(), control) < 1e-4


def test_a_five_percent_error_of_scale_is_seen():
    _, z = draws("scaled(normal, scale=1.05)")
    assert p_value(z[:, :4].ravel(), Normal()) < 1e-4
    assert p_value(z[:, :4].ravel() / 1.05, Normal()) > 1e-4


@pytest.mark.parametrize("spec", ["normal", "cauchy", "stable(alpha=0.6)", "uniform", "cauchy-isotropic", "kilcher"])
def test_product_laws_have_independent_coordinates_and_the_others_do_not(spec):
    """Sizes of two coordinates: uncorrelated ranks for a product, correlated through the radius otherwise."""
    prior, z = draws(spec)
    p = scipy.stats.spearmanr(abs(z[:, 0]), abs(z[:, 7])).pvalue
    assert (p > 1e-4) == prior.product


@pytest.mark.parametrize("spec", EVERY)
def test_isotropic_laws_look_the_same_along_the_diagonal(spec):
    prior, z = draws(spec)
    along = z @ np.full(DIM, DIM**-0.5)
    p = scipy.stats.ks_2samp(along[: N // 2], z[N // 2 :, 0]).pvalue
    gaussian = spec in ("normal", "stable(alpha=2)")  # as a product this one does not claim isotropy
    assert (p > 1e-4) == (prior.isotropic or gaussian)


def test_facts_at_dimension_100():
    medians = {"normal": 9.96665, "uniform": 5.7707, "cauchy": 118.14, "cauchy-isotropic": 14.772, "kilcher": 6.7449}
    for spec, median in medians.items():
        assert priors.get(spec).median_norm == pytest.approx(median, rel=1e-4)
    assert priors.get("discrete").median_norm == 10
    assert priors.get("sphere(radius=10)").median_norm == 10
    law = priors.get("cauchy").norm()
    assert law.ppf([0.01, 0.99]) == pytest.approx([30.39, 6366], rel=1e-3)
    assert float(law.cdf(20.0)) == pytest.approx(1.308e-4, rel=1e-3)
    _, z = draws("kilcher", dim=100, n=40_000)
    square = (z**2).sum(1)
    assert abs(square.mean() - 100) < 4 * square.std() / math.sqrt(len(square))
    _, z = draws("cauchy", dim=100)
    largest = np.sort(z**2, axis=1)[:, -1] / (z**2).sum(1)
    assert np.median(largest) == pytest.approx(0.63, abs=0.01)


def test_cauchy_is_strictly_stable_and_student_t_is_normal_in_the_limit():
    prior, z = draws("cauchy")
    assert p_value((0.3 * z[: N // 2] + 0.7 * z[N // 2 :]).ravel(), prior.marginal()) > 1e-4
    _, z = draws("normal")
    assert p_value((0.3 * z[: N // 2] + 0.7 * z[N // 2 :]).ravel(), Normal()) < 1e-4
    assert priors.get("cauchy-isotropic").marginal() == priors.get("student-t(nu=1)").marginal() == Cauchy()
    p = np.array([1e-12, 0.3, 0.9])
    nearly = priors.get("student-t(nu=1e10)").norm()
    np.testing.assert_allclose(nearly.ppf(p), priors.get("normal").norm().ppf(p), rtol=1e-6)
    assert p_value(draws("student-t(nu=1e15)")[1][:, 0], Normal()) > 1e-4
    assert priors.get("stable(alpha=1)").marginal() == Cauchy()


def test_derived_priors():
    sparse, z = draws("sparse(normal, K=5)")
    assert ((z != 0).sum(1) == 5).all()
    assert scipy.stats.chisquare((z != 0).sum(0)).pvalue > 1e-4  # each coordinate equally often
    zero = np.abs(z[:, 0]) == 0
    assert zero.mean() == pytest.approx(0.75, abs=0.02)
    assert float(sparse.marginal().cdf(0.0) - sparse.marginal().cdf(-1e-9)) == pytest.approx(0.75)
    assert p_value(z[~zero, 0], Normal()) > 1e-4
    dense = sparse.dense()
    assert dense.spec == "scaled(normal, scale=0.5)"
    assert (dense.sample(N, generator()).numpy() ** 2).sum(1).mean() == pytest.approx(5, rel=0.03)

    half, z = draws("half(normal, K=5)")
    assert (z[:, 5:] == 0).all()
    assert (z[:, :5] != 0).all()
    assert half.norm() == priors.get("normal", 5).norm()
    other = half.orthogonal().sample(100, generator()).numpy()
    assert (other[:, :5] == 0).all()
    assert half.orthogonal().norm() == priors.get("normal", 15).norm()
    # The same generator gives the same base: the two parts together are it.
    base = priors.get("normal", DIM).sample(9, generator(4))
    assert torch.equal(half.sample(9, generator(4)) + half.orthogonal().sample(9, generator(4)), base)


# Drawing


@pytest.mark.parametrize("spec", EVERY)
def test_a_generator_gives_the_same_draws_twice(spec):
    prior = priors.get(spec, DIM)
    first = prior.sample(7, generator(5))
    assert torch.equal(first, prior.sample(7, generator(5)))
    if spec != "sphere":
        assert not torch.equal(first, prior.sample(7, generator(6)))
    assert first.shape == (7, DIM)
    assert first.dtype == torch.float32
    assert prior.sample((2, 3), generator()).shape == (2, 3, DIM)
    assert prior.sample(0).shape == (0, DIM)


if torch.cuda.is_available():  # not a skip: where there is no GPU, the test does not exist

    def test_a_cpu_generator_gives_the_same_draws_on_the_gpu():
        for prior in (priors.get(spec, DIM) for spec in EVERY):
            on_gpu = prior.sample(7, generator(5), device="cuda")
            assert on_gpu.is_cuda
            assert torch.equal(on_gpu.cpu(), prior.sample(7, generator(5)))
            there = torch.Generator("cuda").manual_seed(1)
            assert prior.sample(3, there, device="cuda").isfinite().all()


@pytest.mark.parametrize("spec", ["student-t(nu=0.01)", "stable(alpha=0.02)", "cauchy", "scaled(cauchy, scale=1e30)"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_heavy_tails_stay_finite(spec, dtype):
    z = priors.get(spec, 50).sample(2000, generator(), dtype=dtype)
    assert z.isfinite().all()
    assert z.dtype == dtype


def test_uniform_draws_stay_inside_and_cauchy_meets_its_far_tail():
    z = priors.get("uniform", 1000).sample(2000, generator())
    assert z.abs().max() < 1
    z = priors.get("cauchy", 1000).sample(2000, generator(), dtype=torch.float64)
    assert 2e5 < z.abs().max() < 1e11  # the largest of 2e6 is about 1e6; float32 uniforms stop near 1e7


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    for spec in EVERY:
        priors.get(spec, DIM).sample(2, generator())
    assert torch.equal(before, torch.random.get_rng_state())


# Densities


def test_log_densities_against_references():
    z = torch.linspace(-3, 3, 15, dtype=torch.float64).reshape(3, 5)
    x = z.numpy()
    expected = {
        "normal": scipy.stats.norm.logpdf(x).sum(1),
        "cauchy": scipy.stats.cauchy.logpdf(x).sum(1),
        "cauchy-isotropic": scipy.stats.multivariate_t(shape=np.eye(5), df=1).logpdf(x),
        "student-t(nu=3)": scipy.stats.multivariate_t(shape=np.eye(5), df=3).logpdf(x),
        "student-t(nu=1e12)": scipy.stats.norm.logpdf(x).sum(1),
        "stable(alpha=1.5)": scipy.stats.levy_stable(1.5, 0).logpdf(x).sum(1),
        "scaled(normal, scale=3)": scipy.stats.norm(scale=3).logpdf(x).sum(1),
        "uniform": [-np.inf, -5 * np.log(2), -np.inf],
    }
    for spec, value in expected.items():
        np.testing.assert_allclose(priors.get(spec, 5).log_prob(z).numpy(), value, rtol=1e-7, err_msg=spec)


def test_kilcher_density_integrates_to_one_over_shells():
    prior = priors.get("kilcher(k=1, theta=4)", 3)
    r = torch.linspace(1e-4, 160, 400_001, dtype=torch.float64)
    z = torch.stack([r, 0 * r, 0 * r], -1)
    shell = prior.log_prob(z).exp() * 4 * math.pi * r**2
    # The density of the norm goes like r^(-1/2) at 0: compare with the exact mass of the range.
    mass = float(prior.norm().cdf(160.0) - prior.norm().cdf(0.1))
    assert torch.trapezoid(shell[r > 0.1], r[r > 0.1]) == pytest.approx(mass, rel=1e-3)


def test_log_density_of_normal_has_its_gradient():
    z = torch.randn(4, 6, generator=generator(), requires_grad=True)
    priors.get("normal", 6).log_prob(z).sum().backward()
    torch.testing.assert_close(z.grad, -z.detach())


@given(st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=3))
@settings(deadline=None, max_examples=40)
def test_log_densities_of_finite_latents_are_not_nan(values):
    z = torch.tensor(values, dtype=torch.float64)
    for spec in ("normal", "uniform", "cauchy", "student-t(nu=2)", "stable(alpha=1.3)", "kilcher"):
        assert not priors.get(spec, 3).log_prob(z).isnan().any(), spec


# Specs


@pytest.mark.parametrize("spec", EVERY)
def test_spec_round_trips(spec):
    prior = priors.get(spec, DIM)
    assert priors.get(prior.spec, DIM) == prior
    assert priors.get(prior.spec, DIM).spec == prior.spec


def test_specs_are_short_and_parameters_may_be_keywords():
    assert priors.get("student-t").spec == "student-t(nu=3)"
    assert priors.get("kilcher", 50).spec == "kilcher(k=2, theta=100)"
    assert priors.get("cauchy-isotropic").spec == "cauchy-isotropic"
    assert priors.get("sparse", 100, base="normal", K=50) == priors.get("sparse(normal, K=50)")
    assert priors.get("sparse(student-t(nu=2), K=50)").spec == "sparse(student-t(nu=2), K=50)"
    assert priors.get("stable", alpha=1.2) == priors.get("stable( alpha = 1.2 )")
    assert priors.get("stable(alpha=1.2)", alpha=1.3).alpha == 1.3
    assert priors.get("half", 10, base=priors.get("normal", 10), K=np.int64(3)).spec == "half(normal, K=3)"
    assert {"normal", "uniform", "sphere", "discrete", "cauchy", "student-t", "stable"} <= set(priors.names())


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 2))
@settings(deadline=None, max_examples=50)
def test_specs_keep_every_digit(nu, alpha):
    assert priors.get(priors.get("student-t", 3, nu=nu).spec, 3).nu == nu
    assert priors.get(priors.get("stable", 3, alpha=alpha).spec, 3).alpha == alpha


def test_a_prior_of_your_own():
    class Laplace(priors.Prior):
        name = "laplace"

        def _draw(self, shape, generator):
            u = torch.rand(shape, generator=generator) - 0.5
            return -u.sign() * torch.log1p(-2 * u.abs())

    prior = Laplace(3)
    assert prior.sample(5, generator()).shape == (5, 3)
    for law in (prior.marginal, prior.norm, lambda: prior.log_prob(torch.zeros(3))):
        with pytest.raises(ValueError, match="laplace has no"):
            law()


@pytest.mark.parametrize("dim", [1, 2, 1_000_000])
def test_dimensions_from_one_to_a_million(dim):
    for spec in [*DENSE, "stable(alpha=1)", "half(stable(alpha=1), K=1)", "sparse(normal, K=1)"]:
        prior = priors.get(spec, dim)
        assert prior.sample(1, generator()).isfinite().all()
        assert 0 < prior.median_norm < math.inf
        prior.sample(1, generator())
    if dim == 1:
        assert priors.get("sphere", 1).sample(50, generator()).abs().eq(1).all()
        assert priors.get("sphere", 1).marginal().cdf([-2, -1, 0, 1]).tolist() == [0, 0.5, 0.5, 1]
        assert priors.get("cauchy", 1).median_norm == pytest.approx(1)
    if dim == 1_000_000:
        r = priors.get("normal", dim).sample(1, generator(), dtype=torch.float64).norm()
        assert 1e-6 < float(priors.get("normal", dim).norm().cdf(float(r))) < 1 - 1e-6


# Bad input: one line that names the value and what was expected


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: priors.get("gauss"), "unknown prior 'gauss'; expected one of normal, uniform"),
        (lambda: priors.get("normal(sigma=2)"), "unknown parameter 'sigma' of prior normal; expected no parameter"),
        (lambda: priors.get("stable", beta=1), "unknown parameter 'beta' of prior stable; expected alpha"),
        (lambda: priors.get("normal", 0), "dim is 0; expected a whole number of at least 1"),
        (lambda: priors.get("normal", -3), "dim is -3"),
        (lambda: priors.get("normal", 2.5), "dim is 2.5"),
        (lambda: priors.get("normal", True), "dim is True"),
        (lambda: priors.get("stable(alpha=0)"), r"alpha is 0.0; expected a number in \(0, 2\]"),
        (lambda: priors.get("stable(alpha=2.1)"), "alpha is 2.1"),
        (lambda: priors.get("stable(alpha=nan)"), "alpha is 'nan'; expected a number"),
        (lambda: priors.get("stable", alpha=math.nan), "alpha is nan"),
        (lambda: priors.get("stable(alpha=one)"), "alpha is 'one'; expected a number"),
        (lambda: priors.get("student-t(nu=0)"), "nu is 0.0; expected a number above 0"),
        (lambda: priors.get("student-t(nu=-1)"), "nu is -1.0"),
        (lambda: priors.get("student-t", nu=math.inf), "nu is inf"),
        (lambda: priors.get("kilcher(k=3)"), "k is 3; expected 1 or 2"),
        (lambda: priors.get("kilcher(k=1.5)"), "k is 1.5; expected 1 or 2"),
        (lambda: priors.get("kilcher(theta=0)"), "theta is 0.0; expected a number above 0"),
        (lambda: priors.get("sphere(radius=-1)"), "radius is -1.0; expected a number above 0"),
        (lambda: priors.get("scaled(normal, scale=0)"), "scale is 0.0; expected a number above 0"),
        (lambda: priors.get("sparse(normal, K=101)"), "K is 101; expected a whole number from 1 to dim = 100"),
        (lambda: priors.get("half(normal, K=0)"), "K is 0; expected a whole number from 1 to dim = 100"),
        (lambda: priors.get("half(normal, K=2.5)"), "K is 2.5; expected a whole number"),
        (lambda: priors.get("orthogonal(normal, K=100)"), "K is 100; expected less than dim = 100"),
        (lambda: priors.get("sparse(normal)"), "prior sparse needs K; expected base, K"),
        (lambda: priors.get("half(K=3)"), "prior half needs base; expected base, K"),
        (lambda: priors.get("sparse(gauss, K=3)"), "unknown prior 'gauss'"),
        (lambda: priors.get("sparse", base=3, K=3), "base is 3; expected a prior or its name"),
        (lambda: priors.get("sparse", base=priors.get("normal", 7), K=3), "base has 7 coordinates; expected dim = 100"),
        (lambda: priors.get("sparse(half(normal, K=3), K=3)"), r"base is half\(normal, K=3\); expected a dense prior"),
        (lambda: priors.get("normal()("), "cannot read the prior"),
        (lambda: priors.get(""), "cannot read the prior ''"),
        (lambda: priors.get(3), "cannot read the prior 3"),
        (lambda: priors.get("stable(alpha=)"), "parameter 'alpha' of .* has no value"),
        (lambda: priors.get("normal").sample(-1), "cannot draw -1 latents"),
        (lambda: priors.get("normal").sample(2.5), "cannot draw 2.5 latents; expected a whole number of at least 0"),
        (lambda: priors.get("normal").sample((2, 1.5)), r"cannot draw \(2, 1.5\) latents"),
        (lambda: priors.get("normal").sample("7"), "cannot draw '7' latents"),
        (lambda: priors.get("normal").sample(2, 0), "generator is 0; expected a torch.Generator"),
        (lambda: priors.get("normal").log_prob(torch.zeros(7)), r"latents of shape \(7,\); expected \(..., 100\)"),
        (lambda: priors.get("normal").log_prob(torch.full((100,), math.nan)), "NaN in the latents"),
        (lambda: priors.get("sphere").log_prob(torch.zeros(100)), "sphere has no density"),
        (lambda: priors.get("sparse(normal, K=3)").log_prob(torch.zeros(100)), "sparse has no density"),
        (lambda: priors.get("half(normal, K=3)").marginal(), "use prior.base.marginal"),
        (lambda: priors.get("stable(alpha=0.02)").marginal(), "no law for alpha = 0.02"),
        (lambda: priors.get("stable(alpha=0.02)").norm(), "no law for alpha = 0.02"),
        (lambda: priors.get("half(normal, K=3)").log_prob(torch.zeros(100)), r"use prior.base.marginal\(\) and"),
    ],
)
def test_bad_input_is_one_clear_line(make, words):
    with pytest.raises(ValueError, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_laws_with_atoms_are_named():
    assert priors.get("sphere(radius=3)").norm() == Atom(3.0)
    assert priors.get("discrete", 9).norm() == Atom(3.0)
    assert not priors.get("discrete").marginal().continuous
    assert not priors.get("sparse(normal, K=3)").marginal().continuous
    assert priors.get("sparse(normal, K=100)").marginal() == Normal()
