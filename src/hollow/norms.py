"""Laws of norms of latent vectors in closed form: chi, multivariate t, part of a sphere, Kilcher's radial law."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from hollow.law import Array, Law, choose

FAR = -60.0  # below this log-argument an incomplete gamma or beta function is its leading power to 1e-16


def _power_tail(argument: Array, order: float, function: Callable[[Array], Array]) -> Array:
    """Extend ``function(exp(argument))``, about exp(order * argument) at minus infinity, below ``FAR``."""
    anchor = np.log(function(np.exp(np.array(FAR))))
    far = lambda t: np.exp(anchor + order * (t - FAR))  # noqa: E731
    return choose(argument < FAR, far, lambda t: function(np.exp(t)), argument)


def _power_tail_inverse(
    p: Array, order: float, function: Callable[[Array], Array], inverse: Callable[[Array], Array]
) -> Array:
    """Solve ``_power_tail(t, order, function) = p`` for t; ``inverse`` is the inverse of ``function``."""
    lowest = function(np.exp(np.array(FAR)))
    far = lambda p: FAR + (np.log(p) - np.log(lowest)) / order  # noqa: E731
    return choose(p < lowest, far, lambda p: np.log(inverse(p)), p)


class NormLaw(Law):
    """Law of a norm, on [0, infinity)."""

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, np.inf)


@dataclass(frozen=True)
class Chi(NormLaw):
    """Norm of N(0, I) in ``dim`` dimensions: r^2 / 2 has the Gamma(dim / 2) law."""

    dim: int

    def _cdf(self, x: Array) -> Array:
        a = self.dim / 2
        return _power_tail(2 * np.log(x) - np.log(2), a, lambda y: special.gammainc(a, y))

    def _sf(self, x: Array) -> Array:
        return special.gammaincc(self.dim / 2, 0.5 * x**2)

    def _ppf(self, p: Array) -> Array:
        a = self.dim / 2
        lower = lambda y: special.gammainc(a, y)  # noqa: E731
        t = _power_tail_inverse(p, a, lower, lambda p: special.gammaincinv(a, p))
        return np.exp(0.5 * (t + np.log(2)))

    def _isf(self, q: Array) -> Array:
        return np.sqrt(2 * special.gammainccinv(self.dim / 2, q))

    def _logpdf(self, x: Array) -> Array:
        a = self.dim / 2
        return special.xlogy(self.dim - 1, x) - 0.5 * x**2 - (a - 1) * np.log(2) - special.gammaln(a)


class _BetaNorm(NormLaw):
    """Norm r for which some increasing function t(r) is the log-odds of a Beta(a, b) variable."""

    @property
    @abstractmethod
    def a(self) -> float: ...

    @property
    @abstractmethod
    def b(self) -> float: ...

    @abstractmethod
    def _log_odds(self, x: Array) -> Array: ...

    @abstractmethod
    def _from_log_odds(self, t: Array) -> Array: ...

    def _cdf(self, x: Array) -> Array:
        return _beta_odds(self.a, self.b, self._log_odds(x))

    def _sf(self, x: Array) -> Array:
        return _beta_odds(self.b, self.a, -self._log_odds(x))

    def _ppf(self, p: Array) -> Array:
        return self._from_log_odds(_beta_odds_inverse(self.a, self.b, p))

    def _isf(self, q: Array) -> Array:
        return self._from_log_odds(-_beta_odds_inverse(self.b, self.a, q))


def log_beta(a: float, b: float) -> float:
    """log B(a, b), by differences of Stirling's series where log Gamma would cancel."""
    a, b = max(a, b), min(a, b)
    if a < 100:
        return float(special.betaln(a, b))
    series = (1 / (a + b) - 1 / a) / 12 - ((a + b) ** -3 - a**-3) / 360 + ((a + b) ** -5 - a**-5) / 1260
    if b < 100:
        return float(special.gammaln(b) - (a - 0.5) * np.log1p(b / a) - b * np.log(a + b) + b - series)
    smaller = 1 / (12 * b) - b**-3 / 360 + b**-5 / 1260
    main = -(a - 0.5) * np.log1p(b / a) - b * np.log1p(a / b) - 0.5 * np.log(b) + 0.5 * np.log(2 * np.pi)
    return float(main + smaller - series)


def _beta_tail(a: float, b: float, odds: Array) -> Array:
    """`_beta_cdf` far below the mean, by the continued fraction in logs (modified Lentz)."""
    x = odds / (1 + odds)
    c, d = np.ones_like(x), 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 60):
        for factor in (m * (b - m) / (a + 2 * m - 1), -(a + m) * (a + b + m) / (a + 2 * m + 1)):
            term = factor / (a + 2 * m) * x
            c, d = 1 + term / c, 1 / (1 + term * d)
            fraction = fraction * c * d
    return np.exp(-a * np.log1p(1 / odds) - b * np.log1p(odds) - np.log(a) - log_beta(a, b) + np.log(fraction))


def _beta_cdf(a: float, b: float, odds: Array) -> Array:
    """P(B / (1 - B) <= odds) for B ~ Beta(a, b), from whichever of B and 1 - B is known better."""
    low = lambda o: special.betainc(a, b, o / (1 + o))  # noqa: E731
    value = choose(odds < 1, low, lambda o: special.betaincc(b, a, 1 / (1 + o)), odds)
    # Here scipy's sums underflow for b <= 40.
    far = (value < 1e-230) & (odds > 0) & (b <= 50)
    value[far] = _beta_tail(a, b, odds[far])
    return value


def _beta_quantile(a: float, b: float, p: Array) -> Array:
    """Inverse of `_beta_cdf` for p <= 1/2, right to a few digits."""
    y = special.betainccinv(b, a, p)
    x = np.where(y > 0.5, special.betaincinv(a, b, p), 1 - y)
    return x / np.where(y > 0.5, 1 - x, y)


def _beta_odds(a: float, b: float, t: Array) -> Array:
    """P(logit B <= t) for B ~ Beta(a, b)."""
    return _power_tail(np.minimum(t, 700.0), a, lambda odds: _beta_cdf(a, b, odds))


def _beta_odds_inverse(a: float, b: float, p: Array) -> Array:
    if (p > 0.5).any():
        return choose(p > 0.5, lambda p: -_beta_odds_inverse(b, a, 1 - p), lambda p: _beta_odds_inverse(a, b, p), p)
    t = _power_tail_inverse(p, a, lambda odds: _beta_cdf(a, b, odds), lambda p: _beta_quantile(a, b, p))
    # scipy's inverse can miss far tails; Newton steps on the concave log-probability mend it.
    t = np.where(np.isfinite(t), t, (np.log(p * a) + log_beta(a, b)) / a)
    for _ in range(12):
        cdf = np.maximum(_beta_odds(a, b, t), 1e-307)
        miss = np.log(cdf / p)
        off = np.abs(miss) > 1e-10
        if not off.any():
            break
        log_density = a * t[off] - (a + b) * np.logaddexp(0, t[off]) - log_beta(a, b)
        t[off] -= miss[off] / np.exp(np.maximum(log_density - np.log(cdf[off]), -20.0))
    return t


@dataclass(frozen=True)
class FisherNorm(_BetaNorm):
    """Norm of the multivariate t law with ``nu`` degrees of freedom: r^2 / dim has the F(dim, nu) law."""

    nu: float
    dim: int

    @property
    def a(self) -> float:
        return self.dim / 2

    @property
    def b(self) -> float:
        return self.nu / 2

    def _log_odds(self, x: Array) -> Array:
        return 2 * np.log(x) - np.log(self.nu)

    def _from_log_odds(self, t: Array) -> Array:
        return np.exp(0.5 * (t + np.log(self.nu)))

    def _logpdf(self, x: Array) -> Array:
        x = np.maximum(x, 1e-290)  # at 0 the powers of x cancel where dim is 1
        t = self._log_odds(x)
        return np.log(2) - np.log(x) + self.a * t - (self.a + self.b) * np.logaddexp(0, t) - log_beta(self.a, self.b)


@dataclass(frozen=True)
class SphereNorm(_BetaNorm):
    """Norm of ``part`` of the ``dim`` coordinates of a point of the sphere: r^2 ~ Beta(part / 2, (dim - part) / 2)."""

    part: int
    dim: int

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, 1.0)

    @property
    def a(self) -> float:
        return self.part / 2

    @property
    def b(self) -> float:
        return (self.dim - self.part) / 2

    def _log_odds(self, x: Array) -> Array:
        return 2 * np.log(x) - np.log1p(-x) - np.log1p(x)

    def _from_log_odds(self, t: Array) -> Array:
        return np.exp(-0.5 * np.logaddexp(0, -t))

    def _logpdf(self, x: Array) -> Array:
        edge = special.xlogy(self.b - 1, (1 - x) * (1 + x))
        return np.log(2) + special.xlogy(self.part - 1, x) + edge - log_beta(self.a, self.b)


@dataclass(frozen=True)
class KilcherNorm(NormLaw):
    """Norm with r^k ~ Gamma(1/2, scale theta), that is r^k = theta n^2 / 2 with n ~ N(0, 1)."""

    k: int
    theta: float

    def _normal(self, x: Array) -> Array:
        return np.sqrt(2 / self.theta) * x ** (self.k / 2)

    def _from_normal(self, n: Array) -> Array:
        return (n * np.sqrt(self.theta / 2)) ** (2 / self.k)

    def _cdf(self, x: Array) -> Array:
        return special.erf(self._normal(x) / np.sqrt(2))

    def _sf(self, x: Array) -> Array:
        return special.erfc(self._normal(x) / np.sqrt(2))

    def _ppf(self, p: Array) -> Array:
        return self._from_normal(np.sqrt(2) * special.erfinv(p))

    def _isf(self, q: Array) -> Array:
        return self._from_normal(-special.ndtri(0.5 * q))

    def _logpdf(self, x: Array) -> Array:
        power = special.xlogy(self.k / 2 - 1, x)
        return np.log(self.k) + power - x**self.k / self.theta - 0.5 * np.log(np.pi * self.theta)
