r"""Is it like a real one, and is everything there? Estimates from balls around features, as far as the k-th neighbour.

Improved precision and recall and the realism of one image: Kynkaanniemi et al. (2019). Density and coverage: Naeem et
al. (2020). A point at the very edge of a ball is outside, as in the package prdc.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hollow.quality.distances import check

BLOCK = 1000  # rows of distances at once


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Return squared distances, shape (len(x), len(y))."""
    return torch.addmm(y.square().sum(1)[None], x, y.T, alpha=-2).add_(x.square().sum(1)[:, None]).clamp_(min=0)


def _radii(x: Tensor, ks: tuple[int, ...]) -> dict[int, Tensor]:
    """Return for each k the squared distance of each row to its k-th nearest other row."""
    blocks = []
    for start in range(0, len(x), BLOCK):
        squares = _squares(x[start : start + BLOCK], x)
        squares.diagonal(start).fill_(torch.inf)
        blocks.append(squares.topk(max(ks), largest=False).values)
    nearest = torch.cat(blocks)
    return {k: nearest[:, k - 1] for k in ks}


@dataclass(frozen=True)
class Comparison:
    """Generated images beside real ones: the four numbers, and the realism of each image, shape (m,)."""

    precision: float
    recall: float
    density: float
    coverage: float
    realism: Tensor


class Manifold:
    """The balls of real images, found once, so that many sets of generated images are compared with them cheaply.

    Parameters
    ----------
    real : Tensor
        Features (n, d), n > max(k, k_density). Distances are computed in the precision of the features.
    k : int
        Neighbours of precision, recall and realism.
    k_density : int
        Neighbours of density and coverage.

    Raises
    ------
    ValueError
        For another shape, n <= k, NaN, or a feature with zero variance.
    """

    def __init__(self, real: Tensor, k: int = 3, k_density: int = 5) -> None:
        if min(k, k_density) < 1:
            raise ValueError(f"k = {min(k, k_density)} neighbours; expected at least 1")
        self.k, self.k_density = k, k_density
        most = max(k, k_density)
        check(real, "real features", most + 1, f"the {most} nearest others are looked for")
        self.centre = real.double().mean(0).to(real.dtype)  # distances come from products, exact near the origin
        self.real = real - self.centre
        self.radii = _radii(self.real, (k, k_density))
        balls = self.radii[k]
        # Wide balls, in thin regions, would call anything realistic. Two images may share a radius, but for rounding.
        self.small = balls <= balls.median() * (1 + 1e-6)

    def compare(self, fake: Tensor) -> Comparison:
        """Return all four numbers and the realism of each image, from one pass over the distances.

        Parameters
        ----------
        fake : Tensor
            Features (m, d) of generated images, m > k. Recall depends on m: compare values of one m only.
        """
        x = self._centred(fake, self.k + 1, f"recall looks for the {self.k} nearest others")
        own = _radii(x, (self.k,))[self.k]
        inside, dense, realism = 0, 0, []
        nearest = torch.full((len(self.real),), torch.inf, dtype=x.dtype)
        recalled = torch.zeros(len(self.real), dtype=torch.bool)
        for start in range(0, len(x), BLOCK):
            squares = _squares(x[start : start + BLOCK], self.real)
            inside += int((squares < self.radii[self.k]).any(1).sum())
            dense += int((squares < self.radii[self.k_density]).sum())
            recalled |= (squares < own[start : start + BLOCK, None]).any(0)
            nearest = torch.minimum(nearest, squares.amin(0))
            realism.append(self._realism(squares))
        return Comparison(
            precision=inside / len(x),
            recall=float(recalled.double().mean()),
            density=dense / (self.k_density * len(x)),
            coverage=float((nearest < self.radii[self.k_density]).double().mean()),
            realism=torch.cat(realism),
        )

    def realism(self, images: Tensor) -> Tensor:
        r"""Return the realism of each image, shape (m,), from features (m, d) with m at least 1.

        .. math:: \max_i \frac{|\phi_i - \mathrm{NN}_k(\phi_i)|}{|\phi - \phi_i|}

        over the half of the real images with the smallest balls (Kynkaanniemi et al. 2019, section 5): at least 1
        inside one of those balls, infinite for one of the real images themselves.
        """
        x = self._centred(images, 1, "realism is that of an image", vary=False)
        return torch.cat([self._realism(_squares(part, self.real)) for part in x.split(BLOCK)])

    def _realism(self, squares: Tensor) -> Tensor:
        return (self.radii[self.k][self.small] / squares[:, self.small]).amax(1).sqrt()

    def _centred(self, x: Tensor, fewest: int, needs: str, vary: bool = True) -> Tensor:
        check(x, "generated features", fewest, needs, vary=vary)
        if x.shape[1] != self.real.shape[1]:
            widths = f"{x.shape[1]} and of {self.real.shape[1]}"
            raise ValueError(f"features of {widths} numbers; expected those of one network")
        return x.to(self.real.dtype) - self.centre

    def precision_recall(self, fake: Tensor) -> tuple[float, float]:
        """Return the share of generated images inside a ball of a real one, and the share of real ones in theirs."""
        found = self.compare(fake)
        return found.precision, found.recall

    def density_coverage(self, fake: Tensor) -> tuple[float, float]:
        """Return the mean number of real balls around a generated image, over k, and the share of balls with one."""
        found = self.compare(fake)
        return found.density, found.coverage


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    r"""Return improved precision and recall from features (n, d) and (m, d) with n, m > k.

    .. math::
        \mathrm{precision} = \frac{1}{m} \sum_j 1[\exists i: |y_j - x_i| < \mathrm{NND}_k(x_i)], \qquad
        \mathrm{recall} = \frac{1}{n} \sum_i 1[\exists j: |x_i - y_j| < \mathrm{NND}_k(y_j)]

    NND_k is the distance to the k-th nearest other image of the same set (Kynkaanniemi et al. 2019). Errors are those
    of `Manifold`.
    """
    return Manifold(real, k, k).precision_recall(fake)


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    r"""Return density and coverage from features (n, d) and (m, d) with n, m > k.

    .. math::
        \mathrm{density} = \frac{1}{km} \sum_{i, j} 1[|y_j - x_i| < \mathrm{NND}_k(x_i)], \qquad
        \mathrm{coverage} = \frac{1}{n} \sum_i 1[\exists j: |y_j - x_i| < \mathrm{NND}_k(x_i)]

    (Naeem et al. 2020.) For two samples of one law the density is 1 in the mean. Errors are those of `Manifold`.
    """
    return Manifold(real, k, k).density_coverage(fake)


def realism(real: Tensor, images: Tensor, k: int = 3) -> Tensor:
    """Return the realism of each image, shape (m,), from features (n, d) and (m, d): see `Manifold.realism`."""
    return Manifold(real, k, k).realism(images)
