"""What a one-dimensional law offers, with both tails accurate: the base classes of `hollow.laws`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TINY = 1e-300  # tail probabilities are clamped here: quantiles stay finite and the transport monotone
HUGE = 1e300  # quantiles are clamped here: small stable indices would overflow

# Logarithms of 0 and overflow are part of the arithmetic of tails; the laws bring them back to finite numbers.
quiet: Any = np.errstate(all="ignore")


def choose(mask: Any, yes: Callable[..., Any], no: Callable[..., Any], *arrays: Any) -> Any:
    """Evaluate ``yes`` where ``mask`` holds and ``no`` elsewhere, each only on its own elements."""
    out = np.empty(mask.size, dtype=arrays[0].dtype)
    for where, function in ((mask, yes), (~mask, no)):
        if (index := np.flatnonzero(where)).size:  # three times as fast as a mask
            out[index] = function(*(np.take(a, index) for a in arrays))
    return out.reshape(mask.shape)


def numbers(x: npt.ArrayLike) -> Array:
    """``x`` as a float64 array; `ValueError` on NaN."""
    x = np.asarray(x, dtype=np.float64)
    if np.isnan(x).any():
        raise ValueError("NaN among the values of a law; expected numbers, remove the NaN first")
    return x


def probabilities(p: npt.ArrayLike) -> Array:
    """``p`` as a float64 array, at least ``TINY``; `ValueError` outside [0, 1]."""
    p = numbers(p)
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

    @quiet
    def cdf(self, x: npt.ArrayLike) -> Array:
        """P(X <= x), relatively accurate in the lower tail."""
        return self._cdf(self._inside(numbers(x)))

    @quiet
    def sf(self, x: npt.ArrayLike) -> Array:
        """P(X > x), relatively accurate in the upper tail."""
        return self._sf(self._inside(numbers(x)))

    @quiet
    def ppf(self, p: npt.ArrayLike) -> Array:
        """Quantile, the inverse of `cdf`."""
        return np.clip(self._ppf(probabilities(p)), -HUGE, HUGE)

    @quiet
    def isf(self, q: npt.ArrayLike) -> Array:
        """Upper quantile, the inverse of `sf`."""
        return np.clip(self._isf(probabilities(q)), -HUGE, HUGE)

    @quiet
    def logpdf(self, x: npt.ArrayLike) -> Array:
        """Logarithm of the density, minus infinity outside the support; `ValueError` for laws without a density."""
        x = numbers(x)
        low, high = self.support
        return np.where((x < low) | (x > high), -np.inf, self._logpdf(np.clip(x, low, high)))

    @quiet
    def central(self, x: npt.ArrayLike) -> Array:
        """F(x) - 1/2, for symmetric laws without cancellation near 0."""
        return self.cdf(x) - 0.5

    @quiet
    def from_central(self, m: npt.ArrayLike) -> Array:
        """Inverse of `central`."""
        return self.ppf(0.5 + numbers(m))

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
        # The median keeps rounding from letting the two inverses cross.
        median = self._ppf(np.array(0.5))
        lower, upper = (lambda q: np.minimum(self._ppf(q), median)), (lambda q: np.maximum(self._isf(q), median))
        return choose(side < 0, lower, upper, q)


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

    @quiet
    def central(self, x: npt.ArrayLike) -> Array:
        x = np.clip(numbers(x), *self.support)
        return np.copysign(self._middle(np.abs(x)), x)

    @quiet
    def from_central(self, m: npt.ArrayLike) -> Array:
        m = numbers(m)
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
