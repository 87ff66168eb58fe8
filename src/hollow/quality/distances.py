"""Distances of two laws from samples of their features, by torchmetrics."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from hollow.quality.network import Statistics


def check(features: Tensor, what: str, fewest: int, needs: str, *, vary: bool = True) -> Tensor:
    """Return features in float64, or raise a ValueError: not (n, d), NaN, n below `fewest`, no variance."""
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(f"{what} are {features.dtype} of shape {tuple(features.shape)}; expected floats (n, d)")
    if len(features) < fewest:
        raise ValueError(f"{len(features)} {what} are too few; {needs}, so at least {fewest} are needed")
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"{what} hold NaN or infinity; check the images that they come from")
    if vary and (still := int((features == features[0]).all(0).sum())):
        raise ValueError(
            f"{still} of {features.shape[1]} features have zero variance over {len(features)} {what}; "
            "are all images the same?"
        )
    return features.double()


def _same_width(x: Tensor, y: Tensor) -> int:
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"features of {x.shape[-1]} and of {y.shape[-1]} numbers; expected those of one network")
    return x.shape[-1]


class _Given(nn.Identity):
    """For torchmetrics, which wants a network: features that are there already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(x: Tensor | Statistics, y: Tensor | Statistics) -> float:
    r"""Return the squared Frechet distance of the normal laws with the moments of two samples of features.

    .. math:: |\mu_x - \mu_y|^2 + \mathrm{tr}(\Sigma_x + \Sigma_y - 2 (\Sigma_x \Sigma_y)^{1/2})

    It is called FID on features of Inception alone (Heusel et al. 2017), see `hollow.quality.inception`. Finite samples
    bias it upwards, by about c / n: compare values of one n only.

    Parameters
    ----------
    x, y : Tensor or Statistics
        Features (n, d) with n > d, or their mean and covariance, such as `Features.reference`.

    Raises
    ------
    ValueError
        For other shapes or different d, n <= d, NaN, or a feature with zero variance.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    samples = []
    for z, what in ((x, "first features"), (y, "second features")):
        if not isinstance(z, Statistics):
            d = z.shape[-1] if z.ndim else 0
            z = check(z, what, d + 1, f"a covariance of {d} features needs more than {d}")
        samples.append(z)
    means = [z.mean.double() if isinstance(z, Statistics) else z.mean(0) for z in samples]
    metric = FrechetInceptionDistance(feature=_Given(_same_width(*means))).set_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather be fed by its own update()
        for z, mean, real in zip(samples, means, (True, False), strict=True):
            if isinstance(z, Statistics):
                _state(metric, z, mean - means[0], real)
            else:
                metric.update(z - means[0], real=real)  # far from the origin, its sums would lose digits
        metric.orig_dtype = torch.float64
        return float(metric.compute())


def _state(metric: nn.Module, known: Statistics, mean: Tensor, real: bool) -> None:
    """Put the sums that give this mean and covariance into the metric."""
    side, n = "real" if real else "fake", known.n
    setattr(metric, f"{side}_features_sum", n * mean)
    setattr(metric, f"{side}_features_cov_sum", (n - 1) * known.cov.double() + n * torch.outer(mean, mean))
    setattr(metric, f"{side}_features_num_samples", torch.tensor(n))


def kernel_distance(x: Tensor, y: Tensor, *, subsets: int = 50, size: int = 1000, seed: int = 0) -> float:
    r"""Return the squared maximum mean discrepancy of two samples of features for the kernel (x . y / d + 1)^3.

    .. math::
        \frac{1}{m(m-1)} \sum_{i \ne j} [k(x_i, x_j) + k(y_i, y_j)] - \frac{2}{m^2} \sum_{i, j} k(x_i, y_j)

    averaged over random subsets of m images of each. Without bias: about 0, and as often below, for one law. It is
    called KID on features of Inception (Binkowski et al. 2018).

    Parameters
    ----------
    x, y : Tensor
        Features (n, d), n at least 2.
    subsets, size : int, keyword-only
        How many subsets, of how many images of each sample (fewer where a sample is smaller).
    seed : int, keyword-only
        Of the subsets.

    Raises
    ------
    ValueError
        For other shapes or different d, fewer than 2 rows, NaN, a feature with zero variance, subsets < 1 or size < 2.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    if subsets < 1 or size < 2:
        raise ValueError(f"{subsets} subsets of {size} images; expected at least 1 subset of at least 2")
    x = check(x, "first features", 2, "the kernel is taken of two")
    y = check(y, "second features", 2, "the kernel is taken of two")
    d, size = _same_width(x, y), min(size, len(x), len(y))
    if size == len(x) == len(y):
        subsets = 1  # all would be the same
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that it keeps the features
        torch.manual_seed(seed)  # it draws subsets from the global stream, which is put back afterwards
        metric = KernelInceptionDistance(feature=_Given(d), subsets=subsets, subset_size=size).set_dtype(torch.float64)
        metric.update(x, real=True)
        metric.update(y, real=False)
        return float(metric.compute()[0])
