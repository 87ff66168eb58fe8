"""One-dimensional laws with both tails accurate, and the monotone transport between them.

A coordinate or a norm of a latent vector is moved from one law to another by ``F_target^-1 o F_source``. Composed
from plain CDFs that map saturates: a float64 normal CDF is 1 from 8.3 standard deviations on. Here each law knows its
two tails and its middle separately, so that the map holds to 37 standard deviations (tail probability 1e-300).

NumPy float64 in and out. Norm laws are in `hollow.norms` and `hollow.tabulated`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from hollow.law import HUGE, TINY, Array, Law, SymmetricLaw, choose, numbers, quiet

__all__ = [
    "HUGE",
    "TINY",
    "Array",
    "Atom",
    "Cauchy",
    "Law",
    "Normal",
    "Scaled",
    "Signs",
    "SymmetricLaw",
    "Symmetrized",
    "Uniform",
    "WithZero",
    "choose",
    "transport",
]


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
        return self.law.central(numbers(x) / self.scale)

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


@quiet
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
    x = numbers(x)
    if source == target:
        return x.copy()
    if isinstance(source, SymmetricLaw) and isinstance(target, SymmetricLaw):
        a = np.minimum(np.abs(x), source.support[1])
        inner = lambda a: target._middle_inverse(source._middle(a))  # noqa: E731
        outer = lambda a: target._upper_inverse(np.maximum(source._upper(a), TINY))  # noqa: E731
        size = choose(a < source._upper_inverse(np.array(0.25)), inner, outer, a)  # each part costs one CDF, not two
        return np.copysign(np.minimum(size, HUGE), x)
    side, q, m = source._fold(x)
    return np.clip(target._unfold(side, np.maximum(q, TINY), m), -HUGE, HUGE)
