"""How sure a decoder is: precision by a network of radial basis functions, small wherever there was no data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from hollow.prior import check, is_positive

FAINT = -60.0  # logarithm of the least bump of a fit: smaller ones change nothing, and denormal numbers take long


class RBFPrecision(nn.Module):
    r"""Precision :math:`\beta(z) = \sum_k W_k \exp(-\lambda_k |z - c_k|^2) + \zeta` of each output, W >= 0, floor zeta.

    A standard deviation from an ordinary network means nothing far from the data: the network was never asked there.
    Here each bump ends, so far from all centres the precision falls to the floor and sigma = beta^(-1/2) is large
    (Arvanitidis et al., 2018).

    Attributes
    ----------
    centres : Tensor, shape (K, D)
    rates : Tensor, shape (K,)
        lambda_k = (a r_k)^-2 / 2 with r_k the mean distance of a cluster's codes to its centre.
    weights : Tensor, shape (N, K)
        N is the number of outputs, or 1 for one precision that all of them share.
    floor : float
        Precision far from the data.
    """

    centres: Tensor
    rates: Tensor
    weights: Tensor

    def __init__(self, centres: Tensor, rates: Tensor, weights: Tensor, floor: float):
        super().__init__()
        shapes = tuple(centres.shape), tuple(rates.shape), tuple(weights.shape)
        count = len(centres)
        check(
            centres.ndim == 2 and rates.shape == (count,) and weights.ndim == 2 and weights.shape[1] == count,
            f"centres, rates and weights are of shapes {shapes}; expected (K, D), (K,) and (N, K)",
        )
        check(is_positive(floor), f"floor is {floor!r}; expected a positive precision")
        for name, value in (("centres", centres), ("rates", rates), ("weights", weights)):
            self.register_buffer(name, value)
        self.floor = float(floor)

    @classmethod
    def fit(
        cls,
        codes: Tensor,
        squares: Tensor | float,
        *,
        centres: int = 64,
        a: float = 2.0,
        floor: float = 0.1,
        least: float = 1e-2,
        steps: int = 100,
        generator: torch.Generator | None = None,
    ) -> RBFPrecision:
        """Fit the weights by maximum likelihood to squared residuals, the mean of the decoder being fixed.

        Centres are those of k-means on the codes. The likelihood of normal residuals, sum log(beta) - beta r^2, is
        concave in W; each step multiplies W by a ratio of positive sums, which never lowers it and keeps W positive, so
        there is no learning rate (minorise and maximise, by Jensen's inequality in log(beta)).

        Parameters
        ----------
        codes : Tensor, shape (n, D)
            Codes of the data; for a generator without data, latents drawn from its prior.
        squares : Tensor, shape (n, N), or float
            Squared residuals (x - mu(z))^2; a number is the variance that all outputs have at the codes.
        centres, a, floor : int, float, float, keyword-only
            Number of basis functions, their width in mean distances, precision far from the data.
        least : float, keyword-only
            Least standard deviation, in units of the outputs: pixels that never change would get infinite precision.
        steps : int, keyword-only
            Multiplicative steps.
        generator : torch.Generator, keyword-only
            Of the starts of k-means.
        """
        check(
            codes.ndim == 2 and len(codes) >= centres >= 1,
            f"codes are of shape {tuple(codes.shape)} for {centres} centres; "
            f"expected (n, D) with n >= {max(centres, 1)}",
        )
        check(is_positive(a), f"a is {a!r}; expected a positive width in mean distances")
        if not isinstance(squares, Tensor):
            check(is_positive(squares), f"squares is {squares!r}; expected a positive variance or a tensor (n, N)")
            squares = codes.new_full((len(codes), 1), float(squares))
        check(
            squares.ndim == 2 and len(squares) == len(codes),
            f"squares are of shape {tuple(squares.shape)}; expected ({len(codes)}, N), a row a code",
        )
        start = int(torch.randint(2**31, (1,), generator=generator))
        found = KMeans(centres, n_init=3, random_state=start).fit(codes.cpu().double().numpy())
        where = torch.as_tensor(found.cluster_centers_, dtype=codes.dtype)
        label = torch.as_tensor(found.labels_).long()
        distance = (codes.cpu() - where[label]).norm(dim=1)
        count = torch.bincount(label, minlength=centres)
        mean = torch.zeros(centres, dtype=codes.dtype).index_add_(0, label, distance) / count.clamp_min(1)
        # A cluster of one code has no width of its own: it gets that of the others.
        mean = mean.where(mean > 1e-3 * mean.median(), mean.median())
        check(bool((mean > 0).all()), "codes are all alike; a bandwidth needs codes that differ")
        rates = (a * mean) ** -2 / 2
        bumps = torch.exp((-rates * torch.cdist(codes.cpu(), where).square()).clamp_min(FAINT))  # (n, K)
        squares = squares.cpu() + least**2
        weights = (1 / squares.mean(0))[:, None] / bumps.sum(1).mean() * torch.ones(1, centres, dtype=codes.dtype)
        total = (squares.T @ bumps).clamp_min(1e-30)
        for _ in range(steps):
            weights = weights * ((1 / (bumps @ weights.T + floor)).T @ bumps) / total
        return cls(where, rates, weights, floor).to(codes.device)

    def forward(self, z: Tensor) -> Tensor:
        """Return the precision of each output, shape (n, N), at latents (n, D)."""
        # |z - c|^2 written out: torch.cdist has no second derivative in forward mode.
        far = (z[:, None] - self.centres).square().sum(-1)
        return torch.exp(-self.rates * far) @ self.weights.T + self.floor

    def sigma(self, z: Tensor) -> Tensor:
        """Return the standard deviation of each output, shape (n, N)."""
        return self(z).rsqrt()


class GaussianDecoder(nn.Module):
    """A decoder of random images mu(z) + sigma(z) eps: returns (mu, sigma), each (n, N), for `PullBack`.

    A precision that all outputs share is one number; its sigma is then returned once, times sqrt(N), which has the same
    metric as N equal ones.
    """

    def __init__(self, mean: Callable[[Tensor], Tensor], precision: RBFPrecision):
        super().__init__()
        self.mean, self.precision = mean, precision

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.mean(z).flatten(1)
        sigma = self.precision.sigma(z)
        check(
            sigma.shape[1] in (1, mean.shape[1]),
            f"the mean has {mean.shape[1]} outputs, the precision {sigma.shape[1]}; expected as many, or one for all",
        )
        return mean, sigma if sigma.shape[1] == mean.shape[1] else sigma * mean.shape[1] ** 0.5
