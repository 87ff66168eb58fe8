"""What decoded codes are like: classes and features of digits by a small classifier, chapter 12's numbers of faces."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hollow import quality

PRESENT = 0.02  # share of a class that counts as there
WIDTH = 32  # features of a digit

Judge = Callable[[Tensor], dict[str, float]]


class Reader(nn.Module):
    """A small classifier of digits (n, pixels) in [0, 1]: 32 features, and scores of the ten classes."""

    def __init__(self, pixels: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(pixels, 128), nn.Softplus(), nn.Linear(128, WIDTH), nn.Tanh())
        self.head = nn.Linear(WIDTH, 10)
        for layer in (self.body[0], self.body[2], self.head):
            nn.init.xavier_normal_(layer.weight, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def reader(
    images: Tensor, labels: Tensor, *, steps: int = 600, generator: torch.Generator | None = None
) -> Reader:
    """Return a classifier trained on digits (n, pixels) and their labels (n,)."""
    network = Reader(images.shape[1], generator)
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        i = torch.randint(len(images), (128,), generator=generator)
        adam.zero_grad()
        F.cross_entropy(network(images[i]), labels[i]).backward()
        adam.step()
    return network.requires_grad_(False)


def digits(network: Reader, real: Tensor | quality.Statistics) -> Judge:
    """Return a judge of digits: classes with at least 2 % of them, the least share, and the distance of features.

    `real` is (n, pixels), held-out digits, or the statistics of their features; the same number should be judged each
    time.
    """
    known = network.body(real) if isinstance(real, Tensor) else real

    def judge(images: Tensor) -> dict[str, float]:
        shares = torch.bincount(network(images).argmax(1), minlength=10) / len(images)
        return {
            "modes": float((shares >= PRESENT).sum()),
            "least share": float(shares.min()),
            "frechet": quality.frechet_distance(known, network.body(images)),
        }

    return judge


def faces(network: quality.Features, real: Tensor | quality.Statistics, rows: Tensor) -> Judge:
    """Return a judge of faces by chapter 12's numbers.

    `real` are features (n, 64) or their statistics for the Frechet distance, `rows` those (n, 64) for balls.
    """
    manifold = quality.Manifold(rows)

    def judge(images: Tensor) -> dict[str, float]:
        features = network.features(images)
        found = manifold.compare(features)
        return {
            "frechet": quality.frechet_distance(real, features),
            "precision": found.precision,
            "recall": found.recall,
            "density": found.density,
            "coverage": found.coverage,
        }

    return judge


def nearest(z: Tensor, codes: Tensor) -> float:
    """Return the median distance of codes (n, D) to the nearest of those trained on, (m, D): 0 is a copy."""
    return float(torch.cdist(z, codes).amin(1).median())
