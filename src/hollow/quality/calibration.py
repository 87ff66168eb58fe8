"""What the metrics say of images whose faults are known, by one feature network: kept in its manifest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hollow.quality.corruptions import CORRUPTIONS
from hollow.quality.distances import frechet_distance, kernel_distance
from hollow.quality.manifolds import Manifold
from hollow.quality.network import Features

STRENGTHS = (0.1, 0.2, 0.4)
SIZES = (250, 500, 1000)


def numbers(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Return the six metrics of features (m, d) against those of real images (n, d), to four digits."""
    found = Manifold(real).compare(fake)
    values = {name: getattr(found, name) for name in ("precision", "recall", "density", "coverage")}
    values |= {"frechet": frechet_distance(real, fake), "kernel": kernel_distance(real, fake)}
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def calibrate(network: Features, known: Tensor, images: Tensor, seed: int = 0) -> dict[str, Any]:
    """Return the metrics on real images, spoilt ones, half of all kinds, and fewer and fewer of them.

    Parameters
    ----------
    network : Features
        The feature network.
    known : Tensor
        Features (n, d) of real images.
    images : Tensor
        Other real images (m, 3, 64, 64) in [-1, 1], m at least 130.
    seed : int
        Of the corruptions, and of the halves.

    Returns
    -------
    dict
        "real": the floor, `numbers` of the untouched images. "corruptions": by name and strength. "half" and "dark": of
        a random half and of the darker half, in which the bright kinds are missing; both have as many images.
        "sizes": the Frechet distance of two samples of s real images, for each s.
    """
    stream = torch.Generator().manual_seed(seed)
    features = network.features(images)
    brightness, half = images.mean((1, 2, 3)), len(images) // 2
    spoilt = {
        name: {str(s): numbers(known, network.features(spoil(images, s, stream))) for s in STRENGTHS}
        for name, spoil in CORRUPTIONS.items()
    }
    return {
        "n_real": len(known),
        "n_images": len(images),
        "real": numbers(known, features),
        "corruptions": spoilt,
        "half": numbers(known, features[torch.randperm(len(images), generator=stream)[:half]]),
        "dark": numbers(known, features[brightness.argsort()[:half]]),
        "sizes": {str(s): round(frechet_distance(known[:s], features[:s]), 4) for s in SIZES if s <= len(images)},
    }
