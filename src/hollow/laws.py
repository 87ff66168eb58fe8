"""One-dimensional laws with both tails accurate, and the monotone transport between them.

A coordinate or a norm of a latent vector is moved from one law to another by ``F_target^-1 o F_source``. Composed
from plain CDFs that map saturates: a float64 normal CDF is 1 from 8.3 standard deviations on. Here each law knows its
two tails and its middle separately, so that the map holds to 37 standard deviations (tail probability 1e-300).

NumPy float64 in and out. Norm laws are in `hollow.norms` and `hollow.tabulated`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

TINY = 1e-300  # tail probabilities are clamped here: quantiles stay finite and the transport monotone
HUGE = 1e300  # quantiles are clamped here: small stable indices would overflow


def choose(mask: npt.NDArray[np.bool_], yes: Callable[..., Array], no: Callable[..., Array], *arrays: Any) -> Any:
    """Evaluate ``yes`` where ``mask`` holds and ``no`` elsewhere, each only on its own elements."""
    out = np.empty(mask.shape, dtype=arrays[0].dtype)
    for where, function in ((mask, yes), (~mask, no)):
        if where.any():
            out[where] = function(*(a[where] for a in arrays))
    return out


def _numbers(x: npt.ArrayLike) -> Array:
    x = np.asarray(x, dtype=np.float64)
    if np.isnan(x).any():
        raise ValueError("NaN among the values of a law; expected numbers, remove the NaN first")
    return x


def _probabilities(p: npt.ArrayLike) -> Array:
    p = _numbers(p)
    if ((p < 0) | (p > 1)).any():
        wrong = p[(p < 0) | (p > 1)].flat[0]
        raise ValueError(f"probability {wrong:g} is outside [0, 1]; pass the value of a CDF")
    return np.maximum(p, TINY)


class Law(ABC):
    """Law of one real variable X.

    Subclasses give ``_cdf``, ``_sf`` and their inverses, each relatively accurate in its own tail; the public methods
    check their input (`ValueError` on NaN or a probability outside [0, 1]), clamp probabilities at ``TINY`` = 1e-300
    and quantiles at ``HUGE`` = 1e300, and take and return arrays of any shape.

    Attributes
    ----------
    support : tuple of float
        Ends of the smallest closed interval of probability 1.
    symmetric : bool
        Whether X and -X have the same law.
    continuous : bool
        Whether the CDF is continuous and strictly increasing on the support, so that transports exist.
    """

    symmetric: bool = False
    continuous: bool = True

    @property
    def support(self) -> tuple[float, float]:
        return (-np.inf, np.inf)

    def cdf(self, x: npt.ArrayLike) -> Array:
        """P(X <= x), relatively accurate in the lower tail."""
        return self._cdf(self._inside(_numbers(x)))

    def sf(self, x: npt.ArrayLike) -> Array:
        """P(X > x), relatively accurate in the upper tail."""
        return self._sf(self._inside(_numbers(x)))

    def ppf(self, p: npt.ArrayLike) -> Array:
        """Quantile, the inverse of `cdf`."""
        return np.clip(self._ppf(_probabilities(p)), -HUGE, HUGE)

    def isf(self, q: npt.ArrayLike) -> Array:
        """Upper quantile, the inverse of `sf`."""
        return np.clip(self._isf(_probabilities(q)), -HUGE, HUGE)

    def logpdf(self, x: npt.ArrayLike) -> Array:
        """Logarithm of the density, minus infinity outside the support; `ValueError` for laws without a density."""
        x = _numbers(x)
        low, high = self.support
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((x < low) | (x > high), -np.inf, self._logpdf(np.clip(x, low, high)))

    def central(self, x: npt.ArrayLike) -> Array:
        """F(x) - 1/2, for symmetric laws without cancellation near 0."""
        return self.cdf(x) - 0.5

    def from_central(self, m: npt.ArrayLike) -> Array:
        """Inverse of `central`."""
        return self.ppf(0.5 + _numbers(m))

    def _inside(self, x: Array) -> Array:
        return np.clip(x, *self.support) if self.continuous else x

    @abstractmethod
    def _cdf(self, x: Array) -> Array: ...

    @abstractmethod
    def _sf(self, x: Array) -> Array: ...

    @abstractmethod
    def _ppf(self, p: Array) -> Array: ...

    @abstractmethod
    def _isf(self, q: Array) -> Array: ...

    def _logpdf(self, x: Array) -> Array:
        raise ValueError(f"{self} has no density; use its cdf and sf")

    # A value as the transport sees it: the side of the median (-1 or 1), the mass q beyond the value, m = 1/2 - q.
    def _fold(self, x: Array) -> tuple[Array, Array, Array]:
        x = np.clip(x, *self.support)
        low, high = self._cdf(x), self._sf(x)
        q = np.minimum(low, high)
        return np.where(low < high, -1.0, 1.0), q, 0.5 - q

    def _unfold(self, side: Array, q: Array, m: Array) -> Array:
        return choose(side < 0, self._ppf, self._isf, q)


class SymmetricLaw(Law):
    """Law symmetric about 0, given by its upper tail and its middle on a >= 0."""

    symmetric = True

    @abstractmethod
    def _upper(self, a: Array) -> Array:
        """P(X > a)."""

    @abstractmethod
    def _middle(self, a: Array) -> Array:
        """P(0 < X < a)."""

    @abstractmethod
    def _upper_inverse(self, q: Array) -> Array: ...

    @abstractmethod
    def _middle_inverse(self, m: Array) -> Array: ...

    def central(self, x: npt.ArrayLike) -> Array:
        x = np.clip(_numbers(x), *self.support)
        return np.copysign(self._middle(np.abs(x)), x)

    def from_central(self, m: npt.ArrayLike) -> Array:
        m = _numbers(m)
        return np.clip(self._unfold(np.copysign(1.0, m), 0.5 - np.abs(m), np.abs(m)), -HUGE, HUGE)

    def _cdf(self, x: Array) -> Array:
        return self._sf(-x)

    def _sf(self, x: Array) -> Array:
        return choose(x < 0, lambda x: 0.5 + self._middle(-x), self._upper, x)

    def _ppf(self, p: Array) -> Array:
        return -self._isf(p)

    def _isf(self, q: Array) -> Array:
        side = np.where(q > 0.5, -1.0, 1.0)
        return self._unfold(side, np.where(q > 0.5, 1 - q, q), np.abs(0.5 - q))

    def _fold(self, x: Array) -> tuple[Array, Array, Array]:
        a = np.abs(np.clip(x, *self.support))
        return np.copysign(1.0, x), self._upper(a), self._middle(a)

    def _unfold(self, side: Array, q: Array, m: Array) -> Array:
        middle = lambda q, m: self._middle_inverse(m)  # noqa: E731
        return side * choose(m < 0.25, middle, lambda q, m: self._upper_inverse(np.maximum(q, TINY)), q, m)


@dataclass(frozen=True)
class Normal(SymmetricLaw):
    """N(0, scale^2)."""

    scale: float = 1.0

    def _upper(self, a: Array) -> Array:
        return special.ndtr(-a / self.scale)

    def _middle(self, a: Array) -> Array:
        return 0.5 * special.erf(a / (self.scale * np.sqrt(2)))

    def _upper_inverse(self, q: Array) -> Array:
        return -self.scale * special.ndtri(q)

    def _middle_inverse(self, m: Array) -> Array:
        return self.scale * np.sqrt(2) * special.erfinv(2 * m)

    def _logpdf(self, x: Array) -> Array:
        return -0.5 * (x / self.scale) ** 2 - np.log(self.scale * np.sqrt(2 * np.pi))


@dataclass(frozen=True)
class Uniform(SymmetricLaw):
    """Uniform on [-1, 1]."""

    @property
    def support(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    def _upper(self, a: Array) -> Array:
        return 0.5 * (1 - a)

    def _middle(self, a: Array) -> Array:
        return 0.5 * a

    def _upper_inverse(self, q: Array) -> Array:
        return 1 - 2 * q

    def _middle_inverse(self, m: Array) -> Array:
        return 2 * m

    def _logpdf(self, x: Array) -> Array:
        return np.full_like(x, -np.log(2))


@dataclass(frozen=True)
class Cauchy(SymmetricLaw):
    """Cauchy(0, 1), the coordinate in which the paths of section 3.4 are straight."""

    def _upper(self, a: Array) -> Array:
        return np.arctan2(1.0, a) / np.pi

    def _middle(self, a: Array) -> Array:
        return np.arctan(a) / np.pi

    def _upper_inverse(self, q: Array) -> Array:
        return 1 / np.tan(np.pi * q)

    def _middle_inverse(self, m: Array) -> Array:
        return np.tan(np.pi * m)

    def _logpdf(self, x: Array) -> Array:
        return -np.log(np.pi) - 2 * np.log(np.hypot(1, x))


@dataclass(frozen=True)
class Symmetrized(SymmetricLaw):
    """Law of X symmetric about 0 when ``size`` is the law of abs(X)."""

    size: Law

    @property
    def support(self) -> tuple[float, float]:
        return (-self.size.support[1], self.size.support[1])

    @property
    def continuous(self) -> bool:  # type: ignore[override]
        return self.size.continuous

    def _upper(self, a: Array) -> Array:
        return 0.5 * self.size._sf(a)

    def _middle(self, a: Array) -> Array:
        return 0.5 * self.size._cdf(a)

    def _upper_inverse(self, q: Array) -> Array:
        return self.size._isf(2 * q)

    def _middle_inverse(self, m: Array) -> Array:
        return self.size._ppf(2 * m)

    def _logpdf(self, x: Array) -> Array:
        return self.size._logpdf(np.abs(x)) - np.log(2)


@dataclass(frozen=True)
class Scaled(Law):
    """Law of ``scale`` times a variable of law ``law``, scale > 0."""

    law: Law
    scale: float

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.law.support
        return (self.scale * low, self.scale * high)

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        return self.law.symmetric

    @property
    def continuous(self) -> bool:  # type: ignore[override]
        return self.law.continuous

    def _cdf(self, x: Array) -> Array:
        return self.law._cdf(x / self.scale)

    def _sf(self, x: Array) -> Array:
        return self.law._sf(x / self.scale)

    def _ppf(self, p: Array) -> Array:
        return self.scale * self.law._ppf(p)

    def _isf(self, q: Array) -> Array:
        return self.scale * self.law._isf(q)

    def _logpdf(self, x: Array) -> Array:
        return self.law._logpdf(x / self.scale) - np.log(self.scale)

    def central(self, x: npt.ArrayLike) -> Array:
        return self.law.central(_numbers(x) / self.scale)

    def from_central(self, m: npt.ArrayLike) -> Array:
        return self.scale * self.law.from_central(m)

    def _fold(self, x: Array) -> tuple[Array, Array, Array]:
        return self.law._fold(x / self.scale)

    def _unfold(self, side: Array, q: Array, m: Array) -> Array:
        return self.scale * self.law._unfold(side, q, m)


@dataclass(frozen=True)
class Atom(Law):
    """The constant ``value``: the norm law of the sphere and of the discrete prior."""

    value: float

    continuous = False

    @property
    def support(self) -> tuple[float, float]:
        return (self.value, self.value)

    def _cdf(self, x: Array) -> Array:
        return np.where(x >= self.value, 1.0, 0.0)

    def _sf(self, x: Array) -> Array:
        return np.where(x >= self.value, 0.0, 1.0)

    def _ppf(self, p: Array) -> Array:
        return np.full_like(p, self.value)

    def _isf(self, q: Array) -> Array:
        return np.full_like(q, self.value)


@dataclass(frozen=True)
class Signs(Law):
    """-``value`` or ``value`` > 0 with probability 1/2 each: one coordinate of the discrete prior."""

    value: float = 1.0

    symmetric = True
    continuous = False

    @property
    def support(self) -> tuple[float, float]:
        return (-self.value, self.value)

    def _cdf(self, x: Array) -> Array:
        return 0.5 * (x >= -self.value) + 0.5 * (x >= self.value)

    def _sf(self, x: Array) -> Array:
        return 1 - self._cdf(x)

    def _ppf(self, p: Array) -> Array:
        return np.where(p <= 0.5, -self.value, self.value)

    def _isf(self, q: Array) -> Array:
        return np.where(q < 0.5, self.value, -self.value)


@dataclass(frozen=True)
class WithZero(Law):
    """Symmetric law ``law`` with probability ``weight`` < 1, else 0: one coordinate of a sparse prior.

    Quantiles are generalised inverses; the atom at 0 makes the CDF jump, so no transport to this law exists.
    """

    law: Law
    weight: float

    symmetric = True
    continuous = False

    @property
    def support(self) -> tuple[float, float]:
        return self.law.support

    def _cdf(self, x: Array) -> Array:
        return self.weight * self.law.cdf(x) + (1 - self.weight) * (x >= 0)

    def _sf(self, x: Array) -> Array:
        return self.weight * self.law.sf(x) + (1 - self.weight) * (x < 0)

    def _ppf(self, p: Array) -> Array:
        return self._quantile(p, self.law.ppf, self.law.isf)

    def _isf(self, q: Array) -> Array:
        return self._quantile(q, self.law.isf, self.law.ppf)

    def _quantile(self, p: Array, near: Callable[[Array], Array], far: Callable[[Array], Array]) -> Array:
        half = 0.5 * self.weight
        value = np.where(p < half, near(np.minimum(p / self.weight, 0.5)), 0.0)
        return np.where(1 - p < half, far(np.minimum((1 - p) / self.weight, 0.5)), value)


def transport(x: npt.ArrayLike, source: Law, target: Law) -> Array:
    r"""Move values of law ``source`` to law ``target`` by the increasing map :math:`F_t^{-1} \circ F_s`.

    Tail probabilities are clamped at ``TINY`` = 1e-300: beyond, the map is constant, and always finite.

    Parameters
    ----------
    x : array_like
        Values of any shape.
    source, target : Law
        Laws with continuous strictly increasing CDFs, else `ValueError`.

    References
    ----------
    Lesniak, Sieradzki, Podolak (2018), section 3.4, where g is the transport from the Cauchy law to the prior's.
    """
    for law in (source, target):
        if not law.continuous:
            raise ValueError(f"no monotone transport with {law}: its CDF is not continuous and strictly increasing")
    x = _numbers(x)
    if source == target:
        return x.copy()
    side, q, m = source._fold(x)
    return np.clip(target._unfold(side, np.maximum(q, TINY), m), -HUGE, HUGE)
