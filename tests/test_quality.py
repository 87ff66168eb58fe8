"""Numbers for pictures from their pixels, and corruptions: cases known by hand, what they must and must not see."""

import pytest
import torch

from hollow import quality
from hollow.quality.corruptions import CORRUPTIONS


def test_the_numbers_of_known_images():
    grey = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    assert quality.spread(grey) == pytest.approx(4 / 3, abs=1e-6)  # differences 1, 1 and 2
    assert quality.saturation(grey) == pytest.approx(2 / 3)
    zeros, ones = torch.zeros(5, 3, 8, 8), torch.ones(1, 3, 8, 8).expand(5, 3, 8, 8)
    apart = quality.compare(torch.cat([zeros, zeros]), torch.cat([zeros, ones]))
    # E|X - Y| = 1/2, E|X - X'| = 0 and over the 45 pairs of different data 25 have distance 1
    assert apart["diversity"] == pytest.approx(0, abs=1e-6)
    assert apart["energy"] == pytest.approx((1 - 25 / 45) / (25 / 45), abs=1e-6)


def test_contrast_and_colour_of_known_images():
    flat = torch.full((2, 3, 8, 8), 0.3)
    assert quality.contrast(flat) == pytest.approx(0, abs=1e-6)
    assert quality.colour_saturation(flat) == pytest.approx(0, abs=1e-6)
    halves = torch.cat([torch.full((1, 3, 4, 8), -0.5), torch.full((1, 3, 4, 8), 0.5)], 2)
    assert quality.contrast(halves) == pytest.approx(0.5)
    assert quality.contrast(torch.cat([halves, flat])) == pytest.approx(0.5 / 3, abs=1e-6)  # the mean over images
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert quality.colour_saturation(red) == pytest.approx(1)
    assert quality.colour_saturation(torch.cat([red, flat[:1]])) == pytest.approx(0.5)


def test_the_energy_distance_sees_a_shift_and_not_a_second_sample():
    stream = torch.Generator().manual_seed(0)
    a, b = (torch.rand(400, 3, 4, 4, generator=stream) - 0.5 for _ in range(2))
    assert abs(quality.compare(a, b)["energy"]) < 0.005
    assert quality.compare(a + 0.2, b)["energy"] > 0.02


def test_one_image_has_no_spread():
    with pytest.raises(ValueError, match="1 images have no distance from each other; expected at least 2"):
        quality.spread(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_grow_with_their_strength_and_stay_in_range(name):
    images = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    spoilt = [CORRUPTIONS[name](images, s, torch.Generator().manual_seed(1)) for s in (0, 0.1, 0.3, 0.6)]
    changes = [float((x - images).square().mean()) for x in spoilt]
    assert changes[0] == 0
    assert changes == sorted(changes)
    assert changes[1] > 1e-4
    assert all(x.shape == images.shape and x.abs().max() <= 1 for x in spoilt)


def test_an_occlusion_is_a_grey_square_of_its_size():
    hidden = CORRUPTIONS["occlusion"](torch.ones(5, 3, 64, 64), 0.25, torch.Generator().manual_seed(0)) == 0
    assert hidden.sum((1, 2, 3)).tolist() == [3 * 16 * 16] * 5
    assert len({tuple(x[0].nonzero()[0].tolist()) for x in hidden}) > 1  # at different places
