"""Laws in the plane and in D dimensions whose modes, or whose transport from N(0, I), are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hollow.prior import check

RADIUS, DEVIATION, MODES = 2.0, 0.1, 8


def centres() -> Tensor:
    """Return the eight centres, evenly on a circle of radius 2, (8, 2)."""
    angle = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angle.cos(), angle.sin()], 1)


def eight_gaussians(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Return n draws, (n, 2), of the even mixture of eight normal laws with standard deviation 0.1."""
    which = torch.randint(MODES, (n,), generator=generator)
    return centres()[which] + DEVIATION * torch.randn(n, 2, generator=generator)


@dataclass(frozen=True)
class Modes:
    """Where a sample is: the share nearest to each mode, (8,), and the share within three deviations of one."""

    shares: Tensor
    near: float


def modes(x: Tensor) -> Modes:
    """Return where points (n, 2) are among the eight modes; a ValueError says if n < 8, or if they are not finite."""
    check(x.ndim == 2 and x.shape[1] == 2, f"points have shape {tuple(x.shape)}; expected (n, 2)")
    check(len(x) >= MODES, f"{len(x)} samples cannot show {MODES} modes; give at least {MODES}, better hundreds")
    check(bool(torch.isfinite(x).all()), "samples hold NaN or infinity; look at the map that made them")
    distance, nearest = torch.cdist(x, centres()).min(1)
    shares = torch.bincount(nearest, minlength=MODES) / len(x)
    return Modes(shares, float((distance < 3 * DEVIATION).float().mean()))


@dataclass(frozen=True)
class TwoHumps:
    """Independent coordinates with the law (N(-1, s^2) + N(1, s^2)) / 2: 2^D modes, and a known optimal map."""

    dim: int
    deviation: float = 0.3

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return n draws, (n, D)."""
        side = torch.randint(2, (n, self.dim), generator=generator) * 2.0 - 1
        return side + self.deviation * torch.randn(n, self.dim, generator=generator)

    def transport(self, x: Tensor) -> Tensor:
        """Return the optimal map from N(0, I): in each coordinate the quantile of the probability, (n, D)."""
        grid = np.linspace(-1 - 8 * self.deviation, 1 + 8 * self.deviation, 4001)
        cdf = sum(stats.norm.cdf((grid - side) / self.deviation) for side in (-1, 1)) / 2
        keep = np.concatenate([[True], np.diff(cdf) > 0])
        y = np.interp(stats.norm.cdf(x.double().numpy()), cdf[keep], grid[keep])
        return torch.from_numpy(y).to(x.dtype)
