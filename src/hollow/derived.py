"""Priors made from another prior: some coordinates set to 0, or all scaled (sections 4 and 4.1 of the paper)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hollow import laws
from hollow.distributions import uniform01
from hollow.laws import Law
from hollow.prior import Prior, Shape, check, is_positive, is_whole


@dataclass(frozen=True)
class Derived(Prior):
    """A law made from the prior ``base``."""

    base: Prior


@dataclass(frozen=True)
class _Partial(Derived):
    K: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check(not isinstance(self.base, Derived), f"base is {self.base.spec}; expected a dense prior")
        ok = is_whole(self.K) and 1 <= self.K <= self.dim
        check(ok, f"K is {self.K!r}; expected a whole number from 1 to dim = {self.dim}")

    def part_norm(self, part: int) -> Law:
        check(part == self.dim, f"{self.name} has no law for part of its coordinates; use prior.base.part_norm(K)")
        return self.base.part_norm(self.K)

    def _log_prob(self, z: Tensor) -> Tensor:
        raise ValueError(f"{self.name} has no density; use prior.base.marginal() and prior.norm() of {self.spec}")


@dataclass(frozen=True)
class Sparse(_Partial):
    """``base`` with D - K random coordinates set to 0."""

    name = "sparse"

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = self.base._draw(shape, generator)
        return z * (uniform01(shape, generator).argsort(-1) < self.K)

    def marginal(self) -> Law:
        law = self.base.marginal()
        return laws.WithZero(law, self.K / self.dim) if self.dim > self.K else law

    def dense(self) -> "Scaled":
        """The dense test law: ``base`` times sqrt(K / D), equal in mean square."""
        return Scaled(self.dim, self.base, math.sqrt(self.K / self.dim))


@dataclass(frozen=True)
class Half(_Partial):
    """``base`` with the last D - K coordinates set to 0."""

    name = "half"

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = self.base._draw(shape, generator)
        return z * (torch.arange(self.dim, device=z.device) < self.K)

    def marginal(self) -> Law:
        rest = f"the first {self.K}, the others are 0"
        raise ValueError(f"coordinates of {self.spec} differ; use prior.base.marginal() for {rest}")

    def orthogonal(self) -> "Orthogonal":
        """The test law on the other coordinates: ``base`` with the first K coordinates set to 0."""
        return Orthogonal(self.dim, self.base, self.K)


@dataclass(frozen=True)
class Orthogonal(_Partial):
    """``base`` with the first K coordinates set to 0, K < D."""

    name = "orthogonal"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.dim != self.K, f"K is {self.K}; expected less than dim = {self.dim}")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = self.base._draw(shape, generator)
        return z * (torch.arange(self.dim, device=z.device) >= self.K)

    def marginal(self) -> Law:
        rest = f"the others, the first {self.K} are 0"
        raise ValueError(f"coordinates of {self.spec} differ; use prior.base.marginal() for {rest}")

    def part_norm(self, part: int) -> Law:
        check(part == self.dim, f"{self.name} has no law for part of its coordinates; use prior.base.part_norm(K)")
        return self.base.part_norm(self.dim - self.K)


@dataclass(frozen=True)
class Scaled(Derived):
    """``base`` times ``scale`` > 0."""

    scale: float

    name = "scaled"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_positive(self.scale), f"scale is {self.scale!r}; expected a number above 0")

    @property
    def isotropic(self) -> bool:  # type: ignore[override]
        return self.base.isotropic

    @property
    def product(self) -> bool:  # type: ignore[override]
        return self.base.product

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return self.scale * self.base._draw(shape, generator)

    def marginal(self) -> Law:
        return laws.Scaled(self.base.marginal(), self.scale)

    def part_norm(self, part: int) -> Law:
        return laws.Scaled(self.base.part_norm(part), self.scale)

    def _log_prob(self, z: Tensor) -> Tensor:
        return self.base._log_prob(z / self.scale) - self.dim * math.log(self.scale)
