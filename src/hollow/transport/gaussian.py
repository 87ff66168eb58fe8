r"""Transport between normal laws, in closed form.

From :math:`N(m_0, S_0)` to :math:`N(m_1, S_1)` the optimal map is :math:`T(x) = m_1 + A (x - m_0)` with
:math:`A = S_0^{-1/2} (S_0^{1/2} S_1 S_0^{1/2})^{1/2} S_0^{-1/2}`, and its cost, for :math:`|x - y|^2 / 2`, half the
squared Bures distance
:math:`|m_0 - m_1|^2 + \mathrm{tr}(S_0 + S_1 - 2 (S_0^{1/2} S_1 S_0^{1/2})^{1/2})` (Gelbrich 1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import ot
import torch
from torch import Tensor

from hollow.prior import check
from hollow.transport.discrete import samples

RIDGE = 1e-6  # of the mean variance, added to covariances that are estimated


@dataclass(frozen=True)
class Affine:
    """The map x -> A x + b; `matrix` is (D, D), symmetric and positive, `shift` is (D,)."""

    matrix: Tensor
    shift: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.matrix.to(x.dtype).T + self.shift.to(x.dtype)


def bures(mean0: Tensor, cov0: Tensor, mean1: Tensor, cov1: Tensor) -> Affine:
    """Return the optimal map of N(mean0, cov0) to N(mean1, cov1), in float64, by POT.

    Means are (D,), covariances (D, D); a ValueError says if they are not.
    """
    _moments(mean0, cov0, mean1, cov1)
    means, covs = (mean0.double(), mean1.double()), (cov0.double(), cov1.double())
    matrix, shift = ot.gaussian.bures_wasserstein_mapping(*means, *covs)
    return Affine((matrix + matrix.T) / 2, shift.reshape(-1))


def bures_cost(mean0: Tensor, cov0: Tensor, mean1: Tensor, cov1: Tensor) -> float:
    r"""Return the least mean of :math:`|x - y|^2 / 2` between two normal laws; errors are those of `bures`."""
    _moments(mean0, cov0, mean1, cov1)
    distance = ot.gaussian.bures_wasserstein_distance(mean0.double(), mean1.double(), cov0.double(), cov1.double())
    return float(distance) ** 2 / 2


def of_samples(x: Tensor, y: Tensor) -> Affine:
    """Return the optimal map between the normal laws with the moments of samples (n, D) and (m, D), n and m > D.

    Points that are all alike have no covariance to divide by, and raise a ValueError, as in `exact`.
    """
    samples(x, y)
    samples(x, y, x.shape[1] + 1)
    moments: list[Tensor] = []
    for z, what in ((x.double(), "first"), (y.double(), "second")):
        check(bool((z != z[0]).any()), f"points of the {what} sample are all alike; give latents and codes that vary")
        cov = torch.atleast_2d(torch.cov(z.T))
        moments += [z.mean(0), cov + RIDGE * cov.diagonal().mean() * torch.eye(len(cov), dtype=cov.dtype)]
    return bures(*moments)


def _moments(mean0: Tensor, cov0: Tensor, mean1: Tensor, cov1: Tensor) -> None:
    shapes = [tuple(z.shape) for z in (mean0, cov0, mean1, cov1)]
    dim = mean0.numel()
    expected = [(dim,), (dim, dim)] * 2
    check(shapes == expected, f"means and covariances have shapes {shapes}; expected (D,) and (D, D), of one D")
