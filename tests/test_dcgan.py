"""Generator and discriminator: sizes, shapes, initialisation and homogeneity."""

import math

import pytest
import torch

from hollow.dcgan import Discriminator, Generator, init_he, init_normal


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_parameter_counts_of_appendix_a():
    assert parameters(Generator(100, width=64)) == 5_133_443
    assert parameters(Discriminator(width=64)) == 4_314_753


@pytest.mark.parametrize("dim", [1, 10, 100])
@pytest.mark.parametrize("arch", ["conv", "fc"])
def test_images_have_their_shape_and_range(arch, dim):
    g = Generator(dim, width=4, arch=arch)
    init_he(g, torch.Generator().manual_seed(0), median_norm=math.sqrt(dim))
    x = g(torch.randn(3, dim, generator=torch.Generator().manual_seed(1)))
    assert x.shape == (3, 3, 64, 64)
    assert x.abs().max() <= 1
    assert Discriminator(width=4, arch=arch)(x).shape == (3,)


def test_the_fully_connected_discriminator_mirrors_its_generator():
    shapes = [
        [tuple(p.shape) for p in net.parameters() if p.ndim == 2]
        for net in (Generator(1, arch="fc"), Discriminator(arch="fc"))
    ]
    assert shapes[1] == [shape[::-1] for shape in reversed(shapes[0])]


@pytest.mark.parametrize("arch", ["conv", "fc"])
def test_without_biases_the_generator_is_positively_homogeneous(arch):
    z = torch.randn(4, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    free, biased = (Generator(20, width=4, arch=arch, bias=b).double() for b in (False, True))
    for net in (free, biased):
        init_he(net, torch.Generator().manual_seed(1), median_norm=math.sqrt(20))
    for p in biased.parameters():
        if p.ndim == 1:
            p.data.fill_(0.3)
    torch.testing.assert_close(free.pre_tanh(3 * z), 3 * free.pre_tanh(z), rtol=1e-10, atol=1e-12)
    assert (biased.pre_tanh(3 * z) - 3 * biased.pre_tanh(z)).abs().max() > 0.1  # biases break it


def test_he_keeps_the_scale_of_activations_where_the_plain_start_loses_it():
    z = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    stds = {}
    for name, init in (("he", lambda g, r: init_he(g, r, median_norm=9.94)), ("normal", init_normal)):
        g = Generator(100, width=16)
        init(g, torch.Generator().manual_seed(1))
        stds[name] = g.pre_tanh(z).std().item()
    assert 0.4 < stds["he"] < 1.5
    assert stds["normal"] < 0.1


def test_first_layer_is_scaled_by_the_prior():
    g = Generator(100, width=16)
    init_he(g, torch.Generator().manual_seed(1), median_norm=118.1)
    assert g.layers[0].weight.std().item() == pytest.approx(math.sqrt(2) / 118.1, rel=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Generator(0), "dim=0"),
        (lambda: Generator(10, width=0), "width=0"),
        (lambda: Generator(10, arch="unet"), "unknown architecture 'unet'"),
        (lambda: Discriminator(arch="unet"), "unknown architecture 'unet'"),
        (lambda: Generator(10, width=4)(torch.zeros(2, 9)), r"takes \(n, 10\)"),
        (lambda: Generator(10, width=4)(torch.zeros(10)), r"takes \(n, 10\)"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
