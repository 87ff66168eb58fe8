"""The rules behind `hollow.interpolations`: paths as classes, for a law of your own and for negative controls.

All compute in float64, return the dtype and the device they were given, give the endpoints back bitwise at lam = 0
and 1, and turn no finite input into NaN or infinity: what overflows the dtype is clamped to its largest number.
Transports are computed by scipy on the CPU and carry no gradient.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from hollow import priors
from hollow.laws import Cauchy, Law, Normal, transport

N_POINT = ("linear", "normalized", "cauchy-linear", "gaussian-copula", "stable", "transport-matched off uniform")


class Path(ABC):
    """A rule that joins two latent points: `path(z0, z1, lam)`."""

    name: str
    dim: int | None = None  # D of the prior that the path is made for; None takes latents of any dimension

    def made_for(self, dim: int) -> Self:
        """Return this path for latents of dimension `dim`, refusing others."""
        path = copy.copy(self)
        object.__setattr__(path, "dim", dim)  # the subclasses are frozen
        return path

    def __call__(self, z0: Tensor, z1: Tensor, lam: Any) -> Tensor:
        """Points of the path from `z0` to `z1`.

        Parameters
        ----------
        z0, z1 : Tensor, shape (..., D)
            Endpoints, finite.
        lam : float or array of shape (T,)
            Positions in [0, 1]; a number counts as one position.

        Returns
        -------
        Tensor, shape (T, ..., D)

        Raises
        ------
        ValueError
            Shapes differ or are not those of the prior, a latent is not finite, or `lam` leaves [0, 1].
        """
        z0, z1 = self._latent(z0, "z0"), self._latent(z1, "z1")
        if z0.shape != z1.shape:
            raise ValueError(f"z0 has shape {tuple(z0.shape)} and z1 {tuple(z1.shape)}; give them the same shape")
        dtype = torch.promote_types(z0.dtype, z1.dtype)
        lam = _positions(lam, z0.device)
        points = _cast(self._between(z0.double(), z1.double(), lam, eps=torch.finfo(dtype).eps), dtype)
        points[lam == 0], points[lam == 1] = z0.to(dtype), z1.to(dtype)
        return points

    def combine(self, points: Tensor, weights: Any) -> Tensor:
        """Combine n points of shape (n, ..., D) by weights of shape (n,); see `NPointPath`."""
        raise ValueError(f"path {self.name!r} has no form for n points; those that have one: {', '.join(N_POINT)}")

    def _latent(self, z: Tensor, name: str) -> Tensor:
        z = torch.as_tensor(z)
        if not z.is_floating_point() or z.ndim == 0:
            raise ValueError(
                f"{name} has dtype {z.dtype} and shape {tuple(z.shape)}; expected floating point and (..., D)"
            )
        if self.dim is not None and z.shape[-1] != self.dim:
            raise ValueError(
                f"{name} has shape {tuple(z.shape)}; path {self.name!r} is made for a prior with D = {self.dim}, "
                f"so it expects (..., {self.dim})"
            )
        if not torch.isfinite(z).all():
            raise ValueError(f"{name} holds NaN or infinite values; latents must be finite")
        return z

    @abstractmethod
    def _between(self, z0: Tensor, z1: Tensor, lam: Tensor, *, eps: float) -> Tensor:
        """Points in float64, for lam of shape (T,); eps is the resolution of the latents' own dtype."""


class NPointPath(Path):
    """A path that is a weighted mean in some coordinates, hence defined for n points at once."""

    def combine(self, points: Tensor, weights: Any) -> Tensor:
        """Combine n points with weights; two points weighted (1 - lam, lam) give the path.

        Parameters
        ----------
        points : Tensor, shape (n, ..., D)
        weights : array of shape (n,)
            Finite, of either sign, not all zero; `linear` uses them as they are, so a mean needs a sum of 1, the
            others divide by their alpha-norm, so only their ratios matter. One weight 1 among zeros returns its
            point bitwise.

        Returns
        -------
        Tensor, shape (..., D)
        """
        points = self._latent(points, "points")
        w = torch.as_tensor(weights, dtype=torch.float64, device=points.device)
        if w.shape != points.shape[:1] or points.ndim < 2:
            raise ValueError(
                f"weights have shape {tuple(w.shape)} for points of shape {tuple(points.shape)}; "
                "expected (n,) for (n, ..., D)"
            )
        if not torch.isfinite(w).all() or not w.any():
            raise ValueError(f"weights are {w.tolist()}; expected finite numbers, not all zero")
        if w.count_nonzero() == 1 and w.max() == 1:
            return points[int(w.argmax())].clone()
        return _cast(self._mix(points.double(), w[None])[0], points.dtype)

    def _between(self, z0: Tensor, z1: Tensor, lam: Tensor, *, eps: float) -> Tensor:
        return self._mix(torch.stack((z0, z1)), torch.stack((1 - lam, lam), -1))

    @abstractmethod
    def _mix(self, points: Tensor, weights: Tensor) -> Tensor:
        """(n, ..., D) points and (T, n) weights to (T, ..., D), in float64."""


@dataclass(frozen=True)
class WeightedSum(NPointPath):
    """The weighted sum, divided by the alpha-norm of the weights where `alpha` is given.

    Computes `sum_i w_i z_i / (sum_i |w_i|^alpha)^(1/alpha)`. Without `alpha` it is the straight line (section 3.1);
    alpha = 2 is the normalized path (section 3.3), which keeps every centred Gaussian; a strictly alpha-stable law
    is kept by its own alpha.
    """

    name: str = "linear"
    alpha: float | None = None

    def _mix(self, points: Tensor, weights: Tensor) -> Tensor:
        return _weighted(points, weights, self.alpha)


@dataclass(frozen=True)
class CoordinateTransport(NPointPath):
    """Stable-family path: carry each coordinate to a stable law, combine there, carry back.

    Computes `g(sum_i w_i g^-1(z_i) / (sum_i |w_i|^alpha)^(1/alpha))` with `g = F_Z^-1 o F_S`, where F_Z is `law`, that
    of one coordinate of the prior, and F_S is `reference`, by default the symmetric alpha-stable law. alpha = 1 is
    cauchy-linear (section 3.4, which prints g the wrong way round), alpha = 2 the Gaussian copula of Bodin et al.
    (2024). Every product law is kept; of another law only the marginals are. Any other `reference` gives a path
    with the right endpoints and the wrong law: `CoordinateTransport(Cauchy(), reference=Normal())` is cauchy-linear
    with g and its inverse swapped.

    Where a tail probability is under 1e-300 the transport is clamped: a path from such a point leaves it by a jump.
    """

    law: Law
    alpha: float = 1.0
    name: str = "stable"
    reference: Law | None = None

    def __post_init__(self) -> None:
        if not self.law.continuous:
            raise ValueError(f"{self.law} has atoms; a transport needs a continuous, strictly increasing CDF")
        if self.reference is None:
            # The scale of the reference cancels, so alpha = 2 may use N(0, 1) for the stable law N(0, 2).
            law = Normal() if self.alpha == 2 else priors.get("stable", 1, alpha=self.alpha).marginal()
            object.__setattr__(self, "reference", law)

    def _mix(self, points: Tensor, weights: Tensor) -> Tensor:
        assert self.reference is not None
        stable = _transport(points, self.law, self.reference)
        return _transport(_weighted(stable, weights, self.alpha), self.reference, self.law)


@dataclass(frozen=True)
class UniformMatched(Path):
    """Transport-matched path for U(-scale, scale): the linear point carried back to the prior (Agustsson et al., 2017).

    For scale 1, y the linear point, a = max(lam, 1 - lam) and b = min(lam, 1 - lam), each coordinate is y / a where
    `|y| <= a - b`, else `sign(y) (1 - (1 - |y|)^2 / (4 a b))`. Coordinates outside [-1, 1] count as its ends.
    """

    scale: float = 1.0
    name: str = "transport-matched"

    def _between(self, z0: Tensor, z1: Tensor, lam: Tensor, *, eps: float) -> Tensor:
        y = WeightedSum()._between((z0 / self.scale).clamp(-1, 1), (z1 / self.scale).clamp(-1, 1), lam, eps=eps)
        lam = _column(lam, z0)
        a, b = torch.maximum(lam, 1 - lam), torch.minimum(lam, 1 - lam)
        outer = y.sign() * (1 - (1 - y.abs()) ** 2 / (4 * a * b))
        return self.scale * torch.where(y.abs() <= a - b, y / a, outer)


@dataclass(frozen=True)
class Spherical(Path):
    """Spherical linear interpolation; see `spherical`."""

    pole: Tensor | None = field(default=None, compare=False)
    name: str = "spherical"

    def _between(self, z0: Tensor, z1: Tensor, lam: Tensor, *, eps: float) -> Tensor:
        return _slerp(*_polar(z0, "z0"), *_polar(z1, "z1"), _column(lam, z0), pole=self.pole, eps=eps)


@dataclass(frozen=True)
class RadialTransport(Path):
    """Spherical-cauchy-linear path: slerp of the directions, cauchy-linear of the norms (section 3.5).

    Computes `slerp(z0 / |z0|, z1 / |z1|) g((1-lam) g^-1(|z0|) + lam g^-1(|z1|))` with `g = F_|Z|^-1 o F_C`, where
    `F_|Z|` is `norm` and F_C is `reference`, the Cauchy law (the paper prints g and its inverse swapped). Every
    isotropic law whose norm has a continuous strictly increasing CDF is kept. Errors and `pole` are those of
    `spherical`.
    """

    norm: Law
    reference: Law = field(default_factory=Cauchy)
    pole: Tensor | None = field(default=None, compare=False)
    name: str = "spherical-cauchy-linear"

    def __post_init__(self) -> None:
        if not self.norm.continuous:
            raise ValueError("the norm is an atom, to which nothing continuous is carried; use 'spherical'")

    def _between(self, z0: Tensor, z1: Tensor, lam: Tensor, *, eps: float) -> Tensor:
        (r0, u0), (r1, u1) = _polar(z0, "z0"), _polar(z1, "z1")
        one = torch.ones_like(r0)
        direction = _slerp(one, u0, one, u1, _column(lam, z0), pole=self.pole, eps=eps)
        radius = CoordinateTransport(self.norm, reference=self.reference)._between(r0, r1, lam, eps=eps)
        # Near antiparallel points slerp loses digits of the unit length, which the division restores.
        return direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True) * radius


def _positions(lam: Any, device: torch.device) -> Tensor:
    try:
        lam = torch.as_tensor(lam, dtype=torch.float64, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"lam is {lam!r}; expected a number or shape (T,)") from None
    if lam.ndim > 1:
        raise ValueError(f"lam has shape {tuple(lam.shape)}; expected a number or shape (T,)")
    lam = lam.reshape(-1)
    if not ((lam >= 0) & (lam <= 1)).all():
        raise ValueError(f"lam is {lam.tolist()}; expected positions in [0, 1]")
    return lam


def _column(lam: Tensor, z: Tensor) -> Tensor:
    """(T,) to (T, 1, ..., 1), to broadcast against (..., D)."""
    return lam.reshape(-1, *[1] * z.ndim)


def _cast(points: Tensor, dtype: torch.dtype) -> Tensor:
    largest = torch.finfo(dtype).max
    return points.clamp(-largest, largest).to(dtype)


def _weighted(points: Tensor, weights: Tensor, alpha: float | None) -> Tensor:
    """(n, ..., D) points and (T, n) weights to sum_i w_i z_i, over the alpha-norm of the weights if given."""
    # The mean by shares of the weights cannot overflow; the factor that it lacks comes last.
    largest = weights.abs().amax(1, keepdim=True)
    size = weights.abs() / largest
    total = size.sum(1, keepdim=True)
    mean = torch.tensordot(weights / largest / total, points, dims=1)
    if alpha is None:
        return mean * _column(total, points[0]) * _column(largest, points[0])
    return mean * _column(total / (size**alpha).sum(1, keepdim=True) ** (1 / alpha), points[0])


def _transport(x: Tensor, source: Law, target: Law) -> Tensor:
    if source == target:
        return x
    return torch.from_numpy(np.asarray(transport(x.detach().cpu().numpy(), source, target))).to(x.device)


def _polar(z: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Norm (..., 1) and unit vector (..., D), without overflow or underflow in the squares."""
    largest = z.abs().amax(-1, keepdim=True)
    if (largest == 0).any():
        raise ValueError(f"{name} holds a zero vector, which has no direction; slerp is undefined there")
    unit = z / largest
    length = torch.linalg.vector_norm(unit, dim=-1, keepdim=True)
    return (largest * length).clamp(max=torch.finfo(z.dtype).max), unit / length


def _slerp(
    r0: Tensor, u0: Tensor, r1: Tensor, u1: Tensor, lam: Tensor, *, pole: Tensor | None, eps: float
) -> Tensor:
    """Slerp between r0 u0 and r1 u1."""
    apart, together = (torch.linalg.vector_norm(v, dim=-1, keepdim=True) for v in (u1 - u0, u1 + u0))
    opposite = together <= 4 * eps
    omega = 2 * torch.atan2(apart, together)
    # sin(omega) from its half angle keeps its digits near pi; where it is 0 the limits 1 - lam and lam replace it.
    sine = apart * together / 2
    parallel, sine = sine == 0, torch.where(sine == 0, 1.0, sine)
    c0 = torch.where(parallel, 1 - lam, torch.sin((1 - lam) * omega) / sine)
    c1 = torch.where(parallel, lam, torch.sin(lam * omega) / sine)
    scale = torch.maximum(r0, r1)
    points = scale * (c0 * (r0 / scale) * u0 + c1 * (r1 / scale) * u1)
    if not opposite.any():
        return points
    if u0.shape[-1] == 1:
        raise ValueError("z0 and z1 hold vectors of opposite signs; in one dimension there is no way around 0")
    if pole is None:
        raise ValueError("z0 and z1 hold antiparallel vectors, between which slerp has no direction; give a pole=")
    try:
        pole = torch.as_tensor(pole, dtype=u0.dtype, device=u0.device).expand_as(u0)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"pole does not fit latents of shape {tuple(u0.shape)}; expected ({u0.shape[-1]},)") from None
    side = pole - (pole * u0).sum(-1, keepdim=True) * u0
    height = torch.linalg.vector_norm(side, dim=-1, keepdim=True)
    if (opposite & ~(height > 1e-6 * torch.linalg.vector_norm(pole, dim=-1, keepdim=True))).any():
        raise ValueError("pole is zero, not finite or parallel to z0; give a direction across it")
    half_circle = torch.cos(torch.pi * lam) * u0 + torch.sin(torch.pi * lam) * side / height
    return torch.where(opposite, half_circle * ((1 - lam) * r0 + lam * r1), points)
