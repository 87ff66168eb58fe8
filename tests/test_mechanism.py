"""Straight rays: exact where theory says so, bounded where it says so, and not so for a network that is neither."""

import copy

import pytest
import torch
from torch import nn

from hollow import mechanism, zoo
from hollow.dcgan import Generator, init_he
from hollow.mechanism import Rays, explained


def network(shift=0.3, **shape):
    """A small generator with weights of He's size and biases of size `shift`, which matter."""
    generator, random = Generator(8, width=2, **shape).eval(), torch.Generator().manual_seed(0)
    init_he(generator, random)
    for part in generator.modules():
        for moved in (getattr(part, name, None) for name in ("bias", "running_mean")):
            if moved is not None:
                moved.data.normal_(0, shift, generator=random)
    return generator.requires_grad_(False)


def latents(n=12, dim=8):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [{}, {"activation": "leaky_relu"}, {"arch": "fc"}, {"norm": True}, {"depth": 3}])
def test_rays_without_biases_are_straight(shape):
    rays = Rays(mechanism.bare(network(**shape)), latents())
    assert float(rays.origin.abs().max()) == 0
    for s in (0.0, 0.1, 3.0, 100.0):
        torch.testing.assert_close(rays.straight(s), s * rays.ends, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(rays.faded(s), rays.decoded(s), rtol=1e-3, atol=1e-4)
    assert rays.explained(2) > 1 - 1e-6


@pytest.mark.parametrize("shape", [{}, {"activation": "leaky_relu"}, {"arch": "fc"}, {"norm": True}])
def test_biases_are_a_bounded_disturbance(shape):
    generator, z = network(**shape), latents()
    limit = mechanism.before_tanh(mechanism.bare(generator), z)
    rest = [float((mechanism.before_tanh(generator, s * z) - s * limit).norm()) for s in (1, 10, 100, 1000)]
    assert max(rest) < 10 * rest[0]
    assert rest[3] < 0.05 * 1000 * float(limit.norm())


def test_the_disturbance_keeps_the_bound_of_the_theorem():
    generator, z = network(arch="fc"), latents()
    linear = [part for part in generator.layers if isinstance(part, nn.Linear)]
    bound = 0.0
    for part in linear:
        bound = bound * float(torch.linalg.matrix_norm(part.weight, 2)) + float(part.bias.norm())
    rays = Rays(generator, z)
    for s in (0.3, 1.0, 30.0):
        rest = mechanism.before_tanh(generator, s * z) - s * mechanism.before_tanh(mechanism.bare(generator), z)
        assert 0.01 * bound < float(rest.flatten(1).norm(dim=1).max()) <= bound
        bend = mechanism.before_tanh(generator, s * z) - rays.straight(s)
        assert float(bend.flatten(1).norm(dim=1).max()) <= 2 * bound * max(1, s)


def test_a_network_of_hyperbolic_tangents_has_no_straight_rays():
    relu, tanh = network(0.03), network(0.03, activation="tanh")
    assert Rays(relu, latents()).explained(4) > 0.9
    assert Rays(tanh, latents()).explained(4) < 0.7
    assert Rays(mechanism.bare(relu), latents()).explained(4) > 1 - 1e-6
    assert Rays(mechanism.bare(tanh), latents()).explained(4) < 0.7


def test_the_kinks_of_the_first_layer_bend_the_second():
    generator, z, s = network(arch="fc"), latents(), 0.4
    first, second = generator.layers[0], generator.layers[2]
    drive = z @ first.weight.T
    t = -first.bias / drive
    weight = torch.where(t > 0, (s - t).clamp(min=0) - s * (1 - t).clamp(min=0), 0)
    at_s, at_one, at_zero = (mechanism.layers(generator, x)["layer 2"] for x in (s * z, z, 0 * z))
    torch.testing.assert_close(
        at_s - (at_zero + s * (at_one - at_zero)), (weight * drive.abs()) @ second.weight.T, rtol=1e-3, atol=1e-5
    )


def test_a_ray_is_exact_at_its_two_points_and_takes_a_factor_for_each():
    rays, factors = Rays(network(), latents()), torch.linspace(0, 2, 12)
    for s in (0, 1):
        torch.testing.assert_close(rays.faded(s), rays.decoded(s).expand(12, -1, -1, -1))
    many, single = rays.straight(factors), Rays(rays.generator, rays.z[5:6]).straight(float(factors[5]))
    torch.testing.assert_close(many[5:6], single)
    torch.testing.assert_close(rays.decoded(factors)[5:6], Rays(rays.generator, rays.z[5:6]).decoded(float(factors[5])))


def test_saturation_is_predicted_from_the_values_before_the_tanh():
    rays = Rays(network(), latents())
    beyond = torch.atanh(torch.tensor(mechanism.SATURATED))
    torch.testing.assert_close(rays.saturated(5), (rays.straight(5).abs() > beyond).float().flatten(1).mean(1))
    assert float(rays.saturated(0.01).mean()) < float(rays.saturated(100).mean())


def test_explained_is_one_for_the_truth_and_zero_for_the_mean():
    x = latents()
    assert explained(x, x) == 1
    assert explained(x, x.mean(0).expand_as(x)) == pytest.approx(0, abs=1e-6)
    assert explained(x, x.roll(1, 0)) < 0


def test_an_interval_covers_the_share_of_many_pictures_and_narrows():
    random = torch.Generator().manual_seed(2)
    x = torch.randn(4000, 8, generator=random)
    guess = x + 0.3 * torch.randn(x.shape, generator=random) * torch.rand(len(x), 1, generator=random)
    truth, covered, width = explained(x, guess), 0, {}
    for start in range(0, 4000, 40):
        low, high = mechanism.interval(x[start : start + 40], guess[start : start + 40], random, level=0.9)
        covered += low <= truth <= high
    assert 75 <= covered <= 98
    for n in (40, 1000):
        low, high = mechanism.interval(x[:n], guess[:n], random)
        width[n] = high - low
        assert low < explained(x[:n], guess[:n]) < high
    assert 3 < width[40] / width[1000] < 8
    assert mechanism.interval(x[:40], x[:40], random) == (1, 1)


def test_the_bend_is_what_the_straight_ray_misses_before_the_tanh():
    rays = Rays(network(), latents())
    assert float(Rays(mechanism.bare(rays.generator), rays.z).bend(3).max()) < 1e-5
    assert float(rays.bend(1).max()) < 1e-6
    off = mechanism.before_tanh(rays.generator, 0.5 * rays.z[4:5]) - rays.straight(0.5)[4:5]
    torch.testing.assert_close(rays.bend(0.5)[4], off.norm() / (rays.ends[4:5] - rays.origin).norm())


def test_the_line_of_the_recession_function_keeps_one_bound_at_all_radii():
    generator, z = network(arch="fc"), latents()
    origin, limit = Rays(generator, z).origin, mechanism.before_tanh(mechanism.bare(generator), z)
    line = {s: (mechanism.before_tanh(generator, s * z) - origin - s * limit).norm() for s in (1, 10, 1000)}
    ray = {s: (mechanism.before_tanh(generator, s * z) - Rays(generator, z).straight(s)).norm() for s in (10, 1000)}
    assert max(line.values()) < 10 * line[1]
    assert ray[1000] > 50 * ray[10]


def test_layers_are_the_inputs_of_activations():
    generator, z = network(), latents()
    seen = mechanism.layers(generator, z)
    assert list(seen) == ["layer 1", "layer 2", "layer 3", "layer 4", "output"]
    torch.testing.assert_close(seen["layer 1"], generator.layers[0](z))
    torch.testing.assert_close(seen["output"], generator.pre_tanh(z).flatten(1))
    assert not any(part._forward_pre_hooks for part in generator.modules())
    assert mechanism.straightness(generator, z, 0.5)["layer 1"] > 1 - 1e-6
    assert mechanism.straightness(generator, z, 0.5)["layer 2"] < 1 - 1e-4
    assert set(mechanism.switched(generator, z, 1.0).values()) == {0.0}
    assert max(mechanism.switched(generator, z, 0.0).values()) > 0.1


def test_bare_leaves_the_generator_alone():
    generator = network(norm=True)
    before = copy.deepcopy(generator.state_dict())
    bare = mechanism.bare(generator.train())
    assert generator.training
    assert not bare.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert float(mechanism.before_tanh(bare, torch.zeros(1, 8)).abs().max()) == 0


def test_with_the_statistics_of_the_batch_the_radius_is_gone():
    generator, z = network(norm=True), 5 * latents(32)
    there, here = (Rays(copy.deepcopy(generator).train(), z).decoded(s) for s in (1.0, 7.0))
    assert explained(there, here) > 0.99
    assert explained(*(Rays(generator, z).decoded(s) for s in (1.0, 7.0))) < 0.9


def test_the_shipped_model_fades_and_an_average_of_pictures_does_not_explain_its_midpoints():
    model = zoo.load("normal")
    z0, z1 = model.prior.sample((2, 24), torch.Generator().manual_seed(0))
    rays = Rays(model.generator, (z0 + z1) / 2**0.5)
    middle = model.decode((z0 + z1) / 2)
    assert explained(middle, rays.faded(0.5**0.5)) > 0.95
    assert explained(middle, (model.decode(z0) + model.decode(z1)) / 2) < 0.9
    assert explained(middle, rays.faded(0.5**0.5).roll(1, 0)) < 0


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: Rays(nn.Linear(8, 3), latents()).ends, "Linear has no method pre_tanh"),
        (lambda: Rays(network(), latents(dim=9)).ends, "takes \\(n, 8\\)"),
        (lambda: Rays(network(), latents()[0]).ends, "expected \\(n, D\\)"),
        (lambda: Rays(network(), latents() / 0).ends, "NaN or infinity"),
        (lambda: Rays(network(), latents()).faded(-1), "negative or not finite"),
        (lambda: Rays(network(), latents()).decoded(float("nan")), "negative or not finite"),
        (lambda: Rays(network(), latents()).faded(torch.ones(5)), "shape \\(5,\\) for 12 rays"),
        (lambda: Rays(network(), latents()).explained(0), "do not differ"),
        (lambda: explained(latents(3), latents(4)), "give equal shapes"),
        (lambda: mechanism.interval(latents(), latents(), torch.Generator(), level=99), "between 0 and 1"),
        (lambda: mechanism.layers(nn.Sequential(nn.Linear(8, 3)), latents()), "none of the modules ReLU"),
    ],
)
def test_bad_input_is_one_clear_line(act, said):
    with pytest.raises(ValueError, match=said) as error:
        act()
    assert "\n" not in str(error.value)
