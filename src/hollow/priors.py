"""Latent distributions: sampling under a generator, exact laws of one coordinate and of the norm, log-densities.

``get("stable(alpha=1.5)", dim=100)`` makes a prior, ``names()`` lists them. A prior of your own is any object with
``dim`` and ``sample(n, generator)``; derive it from `Prior` to name its laws as well.
"""

import ast
import dataclasses
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import special
from torch import Tensor

from hollow import laws, norms, tabulated
from hollow.laws import Law

Shape = tuple[int, ...]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _uniform(shape: Shape, generator: torch.Generator | None) -> Tensor:
    """Uniform on the open interval (0, 1), float64 so that heavy tails are resolved to 1e-16."""
    device = generator.device if generator is not None else "cpu"
    u = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
    return u.clamp_(min=2.0**-54)


def _normal(shape: Shape, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator is not None else "cpu"
    return torch.randn(shape, generator=generator, device=device)


def _directions(shape: Shape, generator: torch.Generator | None) -> Tensor:
    z = _normal(shape, generator).double()
    return z / z.norm(dim=-1, keepdim=True).clamp_min(1e-300)


@dataclass(frozen=True)
class Prior(ABC):
    """Law of a latent vector Z in ``dim`` dimensions with exchangeable coordinates.

    Attributes
    ----------
    name : str
        Name of the family.
    dim : int
        Number of coordinates D.
    isotropic : bool
        Whether the law is invariant under rotations.
    product : bool
        Whether the coordinates are independent and of one law.
    """

    dim: int

    name: ClassVar[str] = ""
    isotropic: ClassVar[bool] = False
    product: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole = isinstance(self.dim, int) and not isinstance(self.dim, bool)
        _check(whole and self.dim >= 1, f"dim is {self.dim!r}; expected a whole number of at least 1")

    @property
    def spec(self) -> str:
        """The text from which `get` makes this prior again, as ``student-t(nu=3)``."""
        fields = [f for f in dataclasses.fields(self) if f.name != "dim"]
        values = ", ".join(f"{f.name}={_written(getattr(self, f.name))}" for f in fields)
        return f"{self.name}({values})" if values else self.name

    def sample(
        self,
        n: int | Shape,
        generator: torch.Generator | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw latent vectors, always finite: shape (n, D), or (\\*n, D) for a tuple.

        They are drawn on the generator's device and moved, so that a CPU generator gives the same ones everywhere.
        """
        shape = (n,) if isinstance(n, int) else tuple(n)
        _check(all(k >= 0 for k in shape), f"cannot draw {n} latents; expected a number of at least 0")
        z = self._draw((*shape, self.dim), generator)
        limit = min(torch.finfo(dtype).max, torch.finfo(z.dtype).max)
        return z.clamp(-limit, limit).to(device=device, dtype=dtype)

    @abstractmethod
    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        """Latents of this shape on the generator's device, in any floating type, without NaN."""

    def marginal(self) -> Law:
        """Law of one coordinate; `ValueError` where there is none."""
        raise ValueError(f"{self.name} has no law of one coordinate; use the empirical CDF of prior.sample(n)")

    def norm(self) -> Law:
        """Law of the norm of Z; `ValueError` where there is none."""
        return self.part_norm(self.dim)

    def part_norm(self, part: int) -> Law:
        """Law of the norm of any ``part`` coordinates of Z."""
        raise ValueError(f"{self.name} has no law of the norm; use the empirical CDF of prior.sample(n).norm(dim=-1)")

    @property
    def median_norm(self) -> float:
        """Median of the norm of Z, from its exact law."""
        return float(self.norm().ppf(0.5))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density at ``z`` (..., D), shape (...), computed in float64; `ValueError` where no density exists."""
        _check(z.shape[-1:] == (self.dim,), f"latents of shape {tuple(z.shape)}; expected (..., {self.dim})")
        _check(not bool(z.isnan().any()), "NaN in the latents; expected finite numbers")
        return self._log_prob(z.double())

    def _log_prob(self, z: Tensor) -> Tensor:
        raise ValueError(f"{self.name} has no density; use its marginal() and norm() laws")

    def _radial_log_prob(self, z: Tensor) -> Tensor:
        """Density of an isotropic law: that of the norm over the area of the sphere of that radius."""
        r = z.norm(dim=-1).cpu().numpy()
        area = math.log(2) + self.dim / 2 * math.log(math.pi) - special.gammaln(self.dim / 2)
        with np.errstate(divide="ignore"):
            value = self.norm().logpdf(r) - area - (self.dim - 1) * np.log(r)
        return torch.as_tensor(value, dtype=z.dtype, device=z.device)


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
    """Uniform on [-1, 1]^D; draws stay inside the open cube."""

    name = "uniform"
    product = True

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        edge = 1 - 2.0**-24  # the largest float32 below 1
        return (2 * _uniform(shape, generator) - 1).clamp_(-edge, edge)

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
        _check(0 < self.radius < math.inf, f"radius is {self.radius!r}; expected a number above 0")

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
        return torch.where(_uniform(shape, generator) < 0.5, -1.0, 1.0)

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
        return torch.tan(math.pi * (_uniform(shape, generator) - 0.5))

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
        _check(0 < self.nu < math.inf, f"nu is {self.nu!r}; expected a number above 0 (large: use normal)")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = _normal(shape, generator).double()
        u = _uniform((*shape[:-1], 1), generator)
        # The inverse CDF needs one uniform a draw for each nu > 0; torch's Gamma sampler takes no generator.
        chi2 = 2 * special.gammaincinv(self.nu / 2, u.cpu().numpy())
        return z * np.sqrt(self.nu / torch.as_tensor(chi2, device=z.device).clamp_min(1e-300))

    def marginal(self) -> Law:
        return norms.student_t(self.nu)

    def part_norm(self, part: int) -> Law:
        return norms.FisherNorm(self.nu, part)

    def _log_prob(self, z: Tensor) -> Tensor:
        half = self.nu / 2
        constant = math.lgamma(half + self.dim / 2) - math.lgamma(half) - self.dim / 2 * math.log(self.nu * math.pi)
        scaled = z.norm(dim=-1) / math.sqrt(self.nu)
        return constant - (self.nu + self.dim) * torch.hypot(scaled, torch.ones_like(scaled)).log()


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
        return z / _normal((*shape[:-1], 1), generator).double().abs().clamp_min(1e-300)

    def marginal(self) -> Law:
        return laws.Cauchy()


@dataclass(frozen=True)
class Stable(Prior):
    """Independent symmetric stable coordinates, E exp(itX) = exp(-abs(t)^alpha) with 0 < alpha <= 2."""

    alpha: float = 1.5

    name = "stable"
    product = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 < self.alpha <= 2, f"alpha is {self.alpha!r}; expected a number in (0, 2]")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        alpha = self.alpha
        v = math.pi * (_uniform(shape, generator) - 0.5)
        w = -_uniform(shape, generator).log()
        # Chambers, Mallows, Stuck (1976), in logs: for small alpha the factors overflow.
        size = (alpha * v).sin().abs().log() - v.cos().log() / alpha
        size = size + (1 - alpha) / alpha * (((1 - alpha) * v).cos().log() - w.log())
        return torch.sign(v) * size.clamp(-690.0, 690.0).exp()

    def marginal(self) -> Law:
        return tabulated.symmetric_stable(self.alpha)

    def part_norm(self, part: int) -> Law:
        if self.alpha == 2:
            return laws.Scaled(norms.Chi(part), math.sqrt(2))
        if part == 1:
            return tabulated.StableSize(self.alpha)
        return tabulated.CauchyNorm(part) if self.alpha == 1 else tabulated.StableNorm(self.alpha, part)

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
    theta: float | None = None

    name = "kilcher"
    isotropic = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.k in (1, 2), f"k is {self.k!r}; expected 1 or 2")
        if self.theta is None:
            object.__setattr__(self, "theta", 2.0 * self.dim)
        _check(0 < self._theta < math.inf, f"theta is {self.theta!r}; expected a number above 0")

    @property
    def _theta(self) -> float:
        assert self.theta is not None
        return self.theta

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        u = _directions(shape, generator)
        gamma = 0.5 * _normal((*shape[:-1], 1), generator).double() ** 2
        return u * (self._theta * gamma) ** (1 / self.k)

    def marginal(self) -> Law:
        return laws.Symmetrized(self.part_norm(1))

    def part_norm(self, part: int) -> Law:
        if part == self.dim:
            return norms.KilcherNorm(self.k, self._theta)
        return tabulated.KilcherPart(part, self.dim, self.k, self._theta)

    def _log_prob(self, z: Tensor) -> Tensor:
        return self._radial_log_prob(z)


@dataclass(frozen=True)
class _Derived(Prior):
    """A law made from the prior ``base``."""

    base: Prior


@dataclass(frozen=True)
class _Partial(_Derived):
    K: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(not isinstance(self.base, _Derived), f"base is {self.base.spec}; expected a dense prior")
        whole = isinstance(self.K, int) and not isinstance(self.K, bool)
        _check(whole and 1 <= self.K <= self.dim, f"K is {self.K!r}; expected a whole number from 1 to dim = {self.dim}")

    def part_norm(self, part: int) -> Law:
        _check(part == self.dim, f"{self.name} has no law for part of its coordinates; use prior.base.part_norm(K)")
        return self.base.part_norm(self.K)


@dataclass(frozen=True)
class Sparse(_Partial):
    """``base`` with D - K random coordinates set to 0."""

    name = "sparse"

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = self.base._draw(shape, generator)
        return z * (_uniform(shape, generator).argsort(-1) < self.K)

    def marginal(self) -> Law:
        law = self.base.marginal()
        return law if self.K == self.dim else laws.WithZero(law, self.K / self.dim)

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
        raise ValueError(f"coordinates of {self.spec} differ; use prior.base.marginal() for the first {self.K}, the rest are 0")

    def orthogonal(self) -> "Orthogonal":
        """The test law on the other coordinates: ``base`` with the first K coordinates set to 0."""
        return Orthogonal(self.dim, self.base, self.K)


@dataclass(frozen=True)
class Orthogonal(_Partial):
    """``base`` with the first K coordinates set to 0, K < D."""

    name = "orthogonal"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.K < self.dim, f"K is {self.K}; expected less than dim = {self.dim}")

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        z = self.base._draw(shape, generator)
        return z * (torch.arange(self.dim, device=z.device) >= self.K)

    def marginal(self) -> Law:
        raise ValueError(f"coordinates of {self.spec} differ; use prior.base.marginal(), the first {self.K} are 0")

    def part_norm(self, part: int) -> Law:
        _check(part == self.dim, f"{self.name} has no law for part of its coordinates; use prior.base.part_norm(K)")
        return self.base.part_norm(self.dim - self.K)


@dataclass(frozen=True)
class Scaled(_Derived):
    """``base`` times ``scale`` > 0."""

    scale: float

    name = "scaled"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 < self.scale < math.inf, f"scale is {self.scale!r}; expected a number above 0")

    def __getattribute__(self, key: str) -> Any:
        if key in ("isotropic", "product"):
            return getattr(self.base, key)
        return super().__getattribute__(key)

    def _draw(self, shape: Shape, generator: torch.Generator | None) -> Tensor:
        return self.scale * self.base._draw(shape, generator)

    def marginal(self) -> Law:
        return laws.Scaled(self.base.marginal(), self.scale)

    def part_norm(self, part: int) -> Law:
        return laws.Scaled(self.base.part_norm(part), self.scale)

    def _log_prob(self, z: Tensor) -> Tensor:
        return self.base._log_prob(z / self.scale) - self.dim * math.log(self.scale)


_FAMILIES: dict[str, type[Prior]] = {
    family.name: family
    for family in (
        Normal, Uniform, Sphere, Discrete, Cauchy, CauchyIsotropic, StudentT, Stable, Kilcher,
        Sparse, Half, Orthogonal, Scaled,
    )
}  # fmt: skip


def names() -> list[str]:
    """Names of the priors that `get` makes."""
    return list(_FAMILIES)


def _written(value: Any) -> str:
    if isinstance(value, Prior):
        return value.spec
    return str(int(value)) if isinstance(value, float) and value.is_integer() else repr(value)


def _parsed(spec: str) -> tuple[str, dict[str, Any]]:
    """Split ``name(key=value, ...)`` into its name and parameters; a value without a key is ``base``."""
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", spec)
    _check(match is not None, f"cannot read the prior {spec!r}; expected name or name(key=value, ...)")
    assert match is not None
    params: dict[str, Any] = {}
    # Commas inside parentheses belong to a nested prior.
    for item in re.split(r",(?![^()]*\))", match[2] or ""):
        if item.strip():
            key, text = re.fullmatch(r"\s*(?:(\w+)\s*=)?\s*(.*?)\s*", item, re.S).groups()  # type: ignore[union-attr]
            try:
                params[key or "base"] = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                params[key or "base"] = text
    return match[1], params


def get(spec: str, dim: int = 100, **params: Any) -> Prior:
    """Make a prior from its name or spec.

    Parameters
    ----------
    spec : str
        A name of `names`, with parameters in parentheses if wanted: ``normal``, ``student-t(nu=3)``,
        ``sparse(normal, K=50)``.
    dim : int
        Number of coordinates D.
    **params
        Parameters by keyword, instead of or over those of ``spec``; ``base`` is a spec or a prior.

    Raises
    ------
    ValueError
        Unknown name or parameter, or a parameter outside its range.

    Examples
    --------
    >>> get("sparse", 100, base="normal", K=50).spec
    'sparse(base=normal, K=50)'
    """
    name, written = _parsed(spec)
    _check(name in _FAMILIES, f"unknown prior {name!r}; expected one of {', '.join(names())}")
    family = _FAMILIES[name]
    fields = {f.name: f for f in dataclasses.fields(family) if f.init and f.name != "dim"}
    given = written | params
    for key in given:
        expected = f"expected {', '.join(fields)}" if fields else "it takes none"
        _check(key in fields, f"unknown parameter {key!r} of prior {name}; {expected}")
    for key, field in fields.items():
        _check(key in given or field.default is not dataclasses.MISSING, f"prior {name} needs {key}, as in {name}({_EXAMPLES.get(name)})")
    if isinstance(given.get("base"), str):
        given["base"] = get(given["base"], dim)
    return family(dim, **{key: _number(key, value) for key, value in given.items()})


_EXAMPLES = {"sparse": "normal, K=50", "half": "normal, K=50", "orthogonal": "normal, K=50", "scaled": "normal, scale=2"}


def _number(key: str, value: Any) -> Any:
    """A parameter as given, whole floats of whole-number parameters and integers of the others converted."""
    if key == "base" or value is None:
        return value
    _check(isinstance(value, (int, float)) and not isinstance(value, bool), f"{key} is {value!r}; expected a number")
    return int(value) if key in ("K", "k") and float(value).is_integer() else (value if key in ("K", "k") else float(value))
