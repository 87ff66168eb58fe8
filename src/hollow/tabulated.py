"""Laws without a closed form: norms of uniform, Cauchy and stable vectors, the stable law, parts of Kilcher's prior.

Each law is tabulated once, on first use, by `hollow.inversion`: a quintic spline of its log-odds, which keep both tails
relatively accurate, and one of the inverse. Measured against mpmath: relative error of a tail probability, and of a
quantile, below 1e-9 for the uniform and Cauchy norms and for Kilcher's prior, below 1e-6 for stable laws.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.interpolate import PPoly, make_interp_spline

from hollow import inversion
from hollow.laws import Array, Cauchy, Law, Normal, Scaled, Symmetrized
from hollow.norms import Chi, NormLaw

NEAR_CAUCHY = 1e-9  # stable laws this near alpha = 1 are Cauchy to 1e-6 in each tail
LOWEST = 0.03  # least alpha of a tabulated stable law: below, float64 does not hold its quantiles
EDGE = 705.0  # log-odds of 1e-306: tables reach just beyond the clamp at 1e-300


@dataclass(frozen=True, eq=False)
class _Table:
    """Increasing map between the coordinate t of a law and its log-odds.

    Splines run in asinh((t - center) / scale) and asinh(log-odds), smooth and nearly linear at both ends; beyond the
    ends log-odds are linear in t with the slopes given, the exact powers of the law's tails.
    """

    center: float
    scale: float
    forward: PPoly
    backward: PPoly
    ends: tuple[float, float]
    odds: tuple[float, float]
    slopes: tuple[float, float]

    def log_odds(self, t: Array) -> Array:
        inside = np.sinh(self.forward(np.arcsinh((np.clip(t, *self.ends) - self.center) / self.scale)))
        below, above = np.minimum(t - self.ends[0], 0), np.maximum(t - self.ends[1], 0)
        return inside + self.slopes[0] * below + self.slopes[1] * above

    def slope(self, t: Array) -> Array:
        """Derivative of the log-odds."""
        z = (np.clip(t, *self.ends) - self.center) / self.scale
        v = np.arcsinh(z)
        inside = np.cosh(self.forward(v)) * self.forward(v, 1) / (self.scale * np.hypot(1, z))
        return np.where(t < self.ends[0], self.slopes[0], np.where(t > self.ends[1], self.slopes[1], inside))

    def coordinate(self, odds: Array) -> Array:
        inside = self.center + self.scale * np.sinh(self.backward(np.arcsinh(np.clip(odds, *self.odds))))
        below, above = np.minimum(odds - self.odds[0], 0), np.maximum(odds - self.odds[1], 0)
        return inside + below / self.slopes[0] + above / self.slopes[1]


class TabulatedNorm(NormLaw):
    """Norm law given by its log-odds in the coordinate t = log r."""

    nodes = 1200  # of the table
    _kinks: Sequence[float] = ()  # values of t where the log-odds are not smooth

    @abstractmethod
    def _odds(self, t: Array, side: int) -> Array:
        """Log-odds at t, accurate below the median for side -1, above it for side 1."""

    @property
    @abstractmethod
    def _slopes(self) -> tuple[float, float]:
        """Limits of the derivative of the log-odds at both ends."""

    @property
    @abstractmethod
    def _range(self) -> tuple[float, float]:
        """Ends in t beyond which the log-odds are linear to 1e-16."""

    def _coordinate(self, x: Array) -> Array:
        return np.maximum(np.log(x), -1500.0)

    def _from_coordinate(self, t: Array) -> Array:
        return np.exp(np.minimum(t, 700.0))

    def _log_derivative(self, x: Array) -> Array:
        """Log of dt / dx."""
        return -np.log(x)

    @property
    def _table(self) -> _Table:
        return _tabulate(self)

    def _cdf(self, x: Array) -> Array:
        return special.expit(self._table.log_odds(self._coordinate(x)))

    def _sf(self, x: Array) -> Array:
        return special.expit(-self._table.log_odds(self._coordinate(x)))

    def _ppf(self, p: Array) -> Array:
        return self._from_coordinate(self._table.coordinate(special.logit(p)))

    def _isf(self, q: Array) -> Array:
        return self._from_coordinate(self._table.coordinate(-special.logit(q)))

    def _fold(self, x: Array) -> tuple[Array, Array, Array]:
        odds = self._table.log_odds(self._coordinate(self._inside(x)))
        q = special.expit(-np.abs(odds))
        return np.sign(odds), q, 0.5 - q

    def _logpdf(self, x: Array) -> Array:
        x = np.maximum(x, 1e-290)  # at 0 the powers of x cancel where the density is finite
        t = self._coordinate(x)
        odds = self._table.log_odds(t)
        return np.log(self._table.slope(t)) - np.logaddexp(0, odds) - np.logaddexp(0, -odds) + self._log_derivative(x)


def _crossing(law: TabulatedNorm, low: float, high: float, target: float, side: int) -> tuple[float, float]:
    """Narrow the interval [low, high] of t to one where the log-odds cross ``target``, by little."""
    for _ in range(20):
        t = np.linspace(low, high, 9)
        odds = law._odds(t, side)
        first = int(np.argmax(odds > target)) if odds[-1] > target else 8
        last = max(first - 1, 0)
        low, high = t[last], t[first]
        if abs(odds[first] - odds[last]) < 0.1 + 0.01 * abs(target) or first == last:
            break
    return low, high


@lru_cache(maxsize=64)
def _tabulate(law: TabulatedNorm) -> _Table:
    low, high = law._range
    center = _crossing(law, low, high, 0.0, -1)[0]
    low = _crossing(law, low, center, -EDGE, -1)[0]
    high = _crossing(law, center, high, EDGE, 1)[1]
    scale = center - _crossing(law, low, center, -1.0, -1)[0]
    v = np.linspace(np.arcsinh((low - center) / scale), np.arcsinh((high - center) / scale), law.nodes)
    for kink in law._kinks:
        v = np.append(v, np.arcsinh((kink - center) / scale) + 0.2 * np.linspace(-1, 1, 401) ** 3)
    v = np.unique(v)
    t = center + scale * np.sinh(v)
    # Side -1 gives F to 1e-15 a little above the median too; side 1 is best where 1 - F is small.
    near = t[(t >= center) & (t < center + 12 * scale)]
    below = t < near[np.argmax(law._odds(near, -1) > 3)]
    w = np.arcsinh(np.concatenate([law._odds(t[below], -1), law._odds(t[~below], 1)]))
    forward = PPoly.from_spline(make_interp_spline(v, w, k=5))
    backward = PPoly.from_spline(make_interp_spline(w, v, k=5))
    odds = (float(np.sinh(w[0])), float(np.sinh(w[-1])))
    return _Table(center, scale, forward, backward, (t[0], t[-1]), odds, law._slopes)


@dataclass(frozen=True)
class UniformNorm(TabulatedNorm):
    """Norm of a uniform vector of [-1, 1]^dim, in the coordinate logit(r^2 / dim)."""

    dim: int

    nodes = 3000

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, np.sqrt(self.dim))

    @property
    def _kinks(self) -> Sequence[float]:  # type: ignore[override]
        # A power (dim + 1) / 2 of r^2 - 1 starts at r = 1; those at larger whole r^2 are smoother.
        return [float(special.logit(k / self.dim)) for k in range(1, self.dim)] if self.dim < 6 else ()

    @property
    def _slopes(self) -> tuple[float, float]:
        return (self.dim / 2, float(self.dim))

    @property
    def _range(self) -> tuple[float, float]:
        return (-84.0, 42.0)

    def _odds(self, t: Array, side: int) -> Array:
        return inversion.uniform_panels(t, self.dim) if self.dim <= 20 else inversion.uniform(t, self.dim, side)

    def _coordinate(self, x: Array) -> Array:
        share = np.minimum(x / np.sqrt(self.dim), 1.0)
        t = 2 * np.log(share) - np.log1p(-share) - np.log1p(share)
        return np.clip(t, -1500.0, 1500.0)

    def _from_coordinate(self, t: Array) -> Array:
        return np.sqrt(self.dim) * np.exp(-0.5 * np.logaddexp(0, -t))

    def _log_derivative(self, x: Array) -> Array:
        share = x / np.sqrt(self.dim)
        return np.log(2) - np.log(x) - np.log((1 - share) * (1 + share))


class _StableNorm(TabulatedNorm):
    alpha: float
    dim: int

    @property
    def _slopes(self) -> tuple[float, float]:
        return (float(self.dim), self.alpha)

    @property
    def _range(self) -> tuple[float, float]:
        # Relative corrections: r^2 Gamma(3 / alpha) / Gamma(1 / alpha) and F itself below, dim r^-alpha above.
        low = 0.5 * float(special.gammaln(1 / self.alpha) - special.gammaln(3 / self.alpha)) - 40 / min(self.dim, 2)
        return (max(low, -690.0), min((40 + np.log(self.dim)) / self.alpha + 2, 690.0))

    def _odds(self, t: Array, side: int) -> Array:
        return inversion.stable(t, self.alpha, self.dim, side)


@dataclass(frozen=True)
class StableNorm(_StableNorm):
    """Norm of ``dim`` >= 2 independent symmetric stable variables, 0 < alpha < 2."""

    alpha: float
    dim: int


@dataclass(frozen=True)
class CauchyNorm(_StableNorm):
    """Norm of ``dim`` independent Cauchy(0, 1) variables."""

    dim: int

    alpha = 1.0
    nodes = 2000


@dataclass(frozen=True)
class StableSize(_StableNorm):
    """Size of one symmetric stable variable, 0 < alpha < 2 and not 1."""

    alpha: float

    dim = 1
    nodes = 2400

    def _odds(self, t: Array, side: int) -> Array:
        return inversion.stable_size(t, self.alpha)


def symmetric_stable(alpha: float) -> Law:
    """Symmetric stable law with E exp(itX) = exp(-abs(t)^alpha): alpha = 1 is Cauchy(0, 1), alpha = 2 is N(0, 2)."""
    if alpha == 2:
        return Normal(np.sqrt(2))
    return Cauchy() if abs(alpha - 1) < NEAR_CAUCHY else Symmetrized(stable_norm(alpha, 1))


def stable_norm(alpha: float, dim: int) -> Law:
    """Norm of ``dim`` independent variables of `symmetric_stable`."""
    if alpha < LOWEST:
        raise ValueError(f"no law for alpha = {alpha:g}: its quantiles leave float64; use alpha >= {LOWEST}")
    if alpha == 2:
        return Scaled(Chi(dim), np.sqrt(2))
    if abs(alpha - 1) < NEAR_CAUCHY:
        return CauchyNorm(dim)
    return StableNorm(alpha, dim) if dim > 1 else StableSize(alpha)


@dataclass(frozen=True)
class KilcherPart(TabulatedNorm):
    """Norm of ``part`` < ``dim`` coordinates of Kilcher's prior."""

    part: int
    dim: int
    k: int
    theta: float

    nodes = 6000

    @property
    def _slopes(self) -> tuple[float, float]:
        # Near 0 that of r or of the direction, whichever is less; the upper tail falls like exp(-r^k / theta).
        return (min(self.part, self.k / 2), 705.0 * self.k)

    @property
    def _range(self) -> tuple[float, float]:
        center = np.log(self.theta) / self.k + 0.5 * np.log(self.part / self.dim)
        return (max(center - 1500.0, -745.0), center + 20.0)

    def _odds(self, t: Array, side: int) -> Array:
        return inversion.kilcher_part(t, self.part, self.dim, self.k, self.theta, side)
