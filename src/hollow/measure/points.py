"""The points of latent space that chapter 12 measures, and the latents that are drawn there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hollow import experiments, interpolations, priors, zoo
from hollow.matrix import expected
from hollow.prior import Prior

LAMS = (0.125, 0.25, 0.375, 0.5)  # of FINE; the other half of a path is its mirror image in law
RADII = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
SCALES = (0.1, 0.25, 0.5, 0.75)  # of the low-variance laws
REPEATED = ("normal", "cauchy")  # trained from three seeds
FINE = ("normal", "cauchy", "celeba-normal", "celeba-cauchy")  # whose paths are measured at all of LAMS
ALONG = (
    *FINE, "uniform", "kilcher", "sphere", "discrete", "sparse", "half", "cauchy-isotropic", "student-t", "stable",
)  # fmt: skip
RAYS = (*FINE, "uniform", "kilcher", "sphere", "cauchy-isotropic", "student-t", "stable")
MIDPOINTS = {"normal": "normalized", "celeba-normal": "normalized", "uniform": "gaussian-copula", "cauchy": "linear"}


@dataclass(frozen=True)
class Point:
    """A law on a model's latent space.

    Attributes
    ----------
    model : str
        A model of `hollow.zoo`, snapshots included.
    kind : str
        "prior": fresh latents. "path": points of paths between them. "radius": their directions, at one length.
        "average": means of several of them. "law": latents of another law.
    law : str
        Name of the path ("path", "average") or of the other law ("law").
    at : float
        Position on the path, length over the prior's median norm ("radius"), or number of points ("average").
    """

    model: str
    kind: str = "prior"
    law: str = ""
    at: float = 0.0

    @property
    def seed(self) -> int:
        """A seed of its own, so that a point is measured alike in any order and on its own."""
        return zlib.crc32(repr((self.model, self.kind, self.law, self.at)).encode())

    @property
    def images(self) -> str:
        """The images that it is compared with, "portraits" or "celeba"."""
        return experiments.get(self.model.split("@")[0]).images

    def latents(self, prior: Prior, n: int, generator: torch.Generator) -> Tensor:
        """Draw `n` latents, shape (n, D); a ValueError says if the path does not exist."""
        if self.kind == "path":
            z0, z1 = prior.sample((2, n), generator)
            return interpolations.get(self.law, prior)(z0, z1, [self.at])[0]
        if self.kind == "average":
            count = int(self.at)
            path = interpolations.get(self.law, prior)
            return path.combine(prior.sample((count, n), generator), [1 / count] * count)
        if self.kind == "law":
            return priors.get(self.law, prior.dim).sample(n, generator)
        z = prior.sample(n, generator)
        if self.kind == "radius":
            z = z / torch.linalg.vector_norm(z, dim=1, keepdim=True) * (self.at * prior.median_norm)
        return z


def grid(models: Sequence[str] | None = None) -> list[Point]:
    """Return every point that is measured, of the models named or of all."""
    points = list(dict.fromkeys(_points()))
    return points if models is None else [point for point in points if point.model in models]


def _points() -> Iterator[Point]:
    for row in experiments.TABLE.values():
        yield Point(row.name)
    for name in ALONG:
        prior = experiments.get(name).prior
        for path in interpolations.names():
            if letters := expected(prior, path)[0]:
                # Where the law is kept nothing changes along the path, by proof; the middle is a check of that.
                for lam in LAMS if name in FINE and letters[3] == "n" else (0.5,):
                    yield Point(name, "path", path, lam)
    for name in REPEATED:
        for seed in (1, 2):
            for path in ("linear", "cauchy-linear"):
                yield Point(f"{name}-seed{seed}", "path", path, 0.5)
            for radius in (0.5, 2.0):
                yield Point(f"{name}-seed{seed}", "radius", at=radius)
    for name in RAYS:
        for radius in RADII:
            yield Point(name, "radius", at=radius)
    for _, name in zoo.snapshots("normal")[:-1]:
        yield Point(name)
        yield Point(name, "path", "linear", 0.5)
        for radius in (0.25, 2.0):
            yield Point(name, "radius", at=radius)
    for name, matched in MIDPOINTS.items():
        for path in dict.fromkeys(("linear", matched)):
            yield Point(name, "average", path, 4)
    for name in ("normal", "celeba-normal"):
        for scale in SCALES:
            yield Point(name, "law", f"scaled(normal, scale={scale:g})")
    yield Point("sparse", "law", "scaled(normal, scale=0.7071067811865476)")  # dense, at the norm of training
    yield Point("half", "law", "orthogonal(normal, K=50)")
    yield Point("half", "law", "normal")
