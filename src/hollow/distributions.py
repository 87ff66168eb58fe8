"""Latent distributions with exchangeable coordinates: how they are drawn, and their exact laws.

`hollow.priors` makes them by name and is the place to import them from.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from hollow import laws, norms, tabulated
from hollow.laws import Law
from hollow.prior import Prior, Shape, check, is_positive, is_real, length


def uniform01(shape: Shape, generator: torch.Generator | None) -> Tensor:
    """Uniform on the open interval (0, 1), float64 so that heavy tails are resolved to 1e-16."""
    device = generator.device if generator is not None else "cpu"
    u = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
    return u.clamp_(min=2.0**-54)


def _normal(shape: Shape, generator: torch.Generator | None, dtype: torch.dtype = torch.float32) -> Tensor:
    device = generator.device if generator is not None else "cpu"
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _directions(shape: Shape, generator: torch.Generator | None) -> Tensor:
    z = _normal(shape, generator).double()
    return z / z.norm(dim=-1, keepdim=True).clamp_min(1e-300)


@dataclass(frozen=True)
class Normal(Prior):
    """N(0, I); the norm is chi_D."""

    name = "normal"
    isotropic = True
    product = True

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return _normal(shape, generator)

    def marginal(self) -> Law:
        return laws.Normal()

    def part_norm(self, part: int) -> Law:
        return norms.Chi(part)

    def _log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z**2).sum(-1) - 0.5 * self.dim * math.log(2 * math.pi)


@dataclass(frozen=True)
class Uniform(Prior):
    """Uniform on [-1, 1]^D; draws in float32 and float64 stay inside the open cube."""

    name = "uniform"
    product = True

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        edge = 1 - 2.0**-24  # the largest float32 below 1
        return (2 * uniform01(shape, generator) - 1).clamp_(-edge, edge)

    def marginal(self) -> Law:
        return laws.Uniform()

    def part_norm(self, part: int) -> Law:
        return tabulated.UniformNorm(part)

    def _log_prob(self, z: Tensor) -> Tensor:
        inside = (z.abs() <= 1).all(-1)
        value = torch.full_like(inside, -self.dim * math.log(2), dtype=z.dtype)
        return value.masked_fill(~inside, -math.inf)


@dataclass(frozen=True)
class Sphere(Prior):
    """Uniform on the sphere of this radius; the norm is an atom."""

    radius: float = 1.0

    name = "sphere"
    isotropic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_positive(self.radius), f"radius is {self.radius!r}; expected a number above 0")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return self.radius * _directions(shape, generator)

    def marginal(self) -> Law:
        return laws.Symmetrized(self.part_norm(1)) if self.dim > 1 else laws.Signs(self.radius)

    def part_norm(self, part: int) -> Law:
        if part == self.dim:
            return laws.Atom(self.radius)
        return laws.Scaled(norms.SphereNorm(part, self.dim), self.radius)


@dataclass(frozen=True)
class Discrete(Prior):
    """Uniform on the vertices {-1, 1}^D; the norm is sqrt(D)."""

    name = "discrete"
    product = True

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return torch.where(uniform01(shape, generator) < 0.5, -1.0, 1.0)

    def marginal(self) -> Law:
        return laws.Signs()

    def part_norm(self, part: int) -> Law:
        return laws.Atom(math.sqrt(part))


@dataclass(frozen=True)
class Cauchy(Prior):
    """Independent Cauchy(0, 1) coordinates, 1-stable and not isotropic."""

    name = "cauchy"
    product = True

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return torch.tan(math.pi * (uniform01(shape, generator) - 0.5))

    def marginal(self) -> Law:
        return laws.Cauchy()

    def part_norm(self, part: int) -> Law:
        return tabulated.CauchyNorm(part)

    def _log_prob(self, z: Tensor) -> Tensor:
        return -2 * torch.hypot(z, torch.ones_like(z)).log().sum(-1) - self.dim * math.log(math.pi)


@dataclass(frozen=True)
class StudentT(Prior):
    """Multivariate t with ``nu`` > 0 degrees of freedom: N(0, I) over an independent sqrt(chi2_nu / nu)."""

    nu: float = 3.0

    name = "student-t"
    isotropic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_positive(self.nu), f"nu is {self.nu!r}; expected a number above 0 (large: use normal)")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = _normal(shape, generator).double()
        u = uniform01((*shape[:-1], 1), generator)
        # The inverse CDF needs one uniform a draw for each nu > 0; torch's Gamma sampler takes no generator.
        chi2 = 2 * special.gammaincinv(self.nu / 2, u.cpu().numpy())
        return z * (self.nu / torch.as_tensor(chi2, device=z.device).clamp_min(1e-300)).sqrt()

    def marginal(self) -> Law:
        return laws.Cauchy() if self.nu == 1 else laws.Symmetrized(self.part_norm(1))

    def part_norm(self, part: int) -> Law:
        # Beyond 1e12 scipy's beta functions fail, and the normal limit's quantiles err by r^2 / (4 nu) relatively.
        return norms.FisherNorm(self.nu, part) if self.nu <= 1e12 else norms.Chi(part)

    def _log_prob(self, z: Tensor) -> Tensor:
        constant = math.lgamma(self.dim / 2) - norms.log_beta(self.dim / 2, self.nu / 2)
        constant -= self.dim / 2 * math.log(self.nu * math.pi)
        x = length(z) / math.sqrt(self.nu)
        # log sqrt(1 + x^2), without rounding for small x or overflow for large x.
        log_root = torch.where(x < 1, 0.5 * torch.log1p(x.clamp(max=1) ** 2), torch.hypot(x, torch.ones_like(x)).log())
        return constant - (self.nu + self.dim) * log_root


@dataclass(frozen=True)
class CauchyIsotropic(StudentT):
    """N(0, I) / abs(N(0, 1)), the isotropic Cauchy law: multivariate t with nu = 1."""

    nu: float = dataclasses.field(default=1.0, init=False)

    name = "cauchy-isotropic"

    @property
    def spec(self) -> str:
        return self.name

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = _normal(shape, generator).double()
        return z / _normal((*shape[:-1], 1), generator, torch.float64).abs().clamp_min(1e-300)


@dataclass(frozen=True)
class Stable(Prior):
    """Independent symmetric stable coordinates, E exp(itX) = exp(-abs(t)^alpha) with 0 < alpha <= 2."""

    alpha: float = 1.5

    name = "stable"
    product = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_real(self.alpha) and 0 < self.alpha <= 2, f"alpha is {self.alpha!r}; expected a number in (0, 2]")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        alpha = self.alpha
        v = math.pi * (uniform01(shape, generator) - 0.5)
        w = -uniform01(shape, generator).log()
        # Chambers, Mallows, Stuck (1976), in logs: for small alpha the factors overflow.
        size = (alpha * v).sin().abs().log() - v.cos().log() / alpha
        size = size + (1 - alpha) / alpha * (((1 - alpha) * v).cos().log() - w.log())
        return torch.sign(v) * size.clamp(-690.0, 690.0).exp()

    def marginal(self) -> Law:
        return tabulated.symmetric_stable(self.alpha)

    def part_norm(self, part: int) -> Law:
        return tabulated.stable_norm(self.alpha, part)

    def _log_prob(self, z: Tensor) -> Tensor:
        value = self.marginal().logpdf(z.cpu().numpy()).sum(-1)
        return torch.as_tensor(value, dtype=z.dtype, device=z.device)


@dataclass(frozen=True)
class Kilcher(Prior):
    """r u with u uniform on the sphere and r^k ~ Gamma(1/2, scale theta), k = 1 or 2.

    Kilcher, Lucchi, Hofmann (2018). Their exact radial law could not be read, so k and theta are explicit; the
    default theta = 2 D gives E r^2 = D for k = 2.
    """

    k: int = 2
    theta: float = None  # type: ignore[assignment]  # 2 dim

    name = "kilcher"
    isotropic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.k in (1, 2), f"k is {self.k!r}; expected 1 or 2")
        if self.theta is None:
            object.__setattr__(self, "theta", 2.0 * self.dim)
        check(is_positive(self.theta), f"theta is {self.theta!r}; expected a number above 0")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        u = _directions(shape, generator)
        gamma = 0.5 * _normal((*shape[:-1], 1), generator).double() ** 2
        return u * (self.theta * gamma) ** (1 / self.k)

    def marginal(self) -> Law:
        return laws.Symmetrized(self.part_norm(1))

    def part_norm(self, part: int) -> Law:
        if part == self.dim:
            return norms.KilcherNorm(self.k, self.theta)
        return tabulated.KilcherPart(part, self.dim, self.k, self.theta)

    def _log_prob(self, z: Tensor) -> Tensor:
        return self._radial_log_prob(z)
