"""Numbers for pictures: cases known by hand, and what they must and must not see."""

import pytest
import torch

from hollow import quality


def test_the_numbers_of_known_images():
    grey = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    assert quality.spread(grey) == pytest.approx(4 / 3, abs=1e-6)  # differences 1, 1 and 2
    assert quality.saturation(grey) == pytest.approx(2 / 3)
    zeros, ones = torch.zeros(5, 3, 8, 8), torch.ones(1, 3, 8, 8).expand(5, 3, 8, 8)
    apart = quality.compare(torch.cat([zeros, zeros]), torch.cat([zeros, ones]))
    # E|X - Y| = 1/2, E|X - X'| = 0 and over the 45 pairs of different data 25 have distance 1
    assert apart["diversity"] == pytest.approx(0, abs=1e-6)
    assert apart["energy"] == pytest.approx((1 - 25 / 45) / (25 / 45), abs=1e-6)


def test_the_energy_distance_sees_a_shift_and_not_a_second_sample():
    stream = torch.Generator().manual_seed(0)
    a, b = (torch.rand(400, 3, 4, 4, generator=stream) - 0.5 for _ in range(2))
    assert abs(quality.compare(a, b)["energy"]) < 0.005
    assert quality.compare(a + 0.2, b)["energy"] > 0.02
