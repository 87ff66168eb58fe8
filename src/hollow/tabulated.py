"""Laws without a closed form: norms of uniform, Cauchy and stable vectors, the stable law, parts of Kilcher's prior."""

from dataclasses import dataclass

from hollow.laws import Array
from hollow.norms import NormLaw


@dataclass(frozen=True)
class _Todo(NormLaw):
    def _cdf(self, x: Array) -> Array:
        raise NotImplementedError

    _sf = _ppf = _isf = _cdf


@dataclass(frozen=True)
class UniformNorm(_Todo):
    dim: int


@dataclass(frozen=True)
class CauchyNorm(_Todo):
    dim: int


@dataclass(frozen=True)
class StableNorm(_Todo):
    alpha: float
    dim: int


@dataclass(frozen=True)
class KilcherPart(_Todo):
    part: int
    dim: int
    k: int
    theta: float
