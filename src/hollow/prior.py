"""What every latent distribution offers: the base class of `hollow.distributions`."""

import dataclasses
import math
import numbers
import operator
import textwrap
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from scipy import special
from torch import Tensor

from hollow.law import Law

Shape = tuple[int, ...]


def check(condition: bool, message: str) -> None:
    """Raise `ValueError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def is_whole(value: Any) -> bool:
    """Whether ``value`` is of an integer type, Python's or NumPy's."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether ``value`` is a real number, Python's or NumPy's."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    """Whether ``value`` is a finite real number above 0."""
    return is_real(value) and 0 < value < math.inf


def check_prior(prior: Any) -> None:
    """Raise `ValueError` unless ``prior`` has a dimension and can be sampled."""
    ok = is_whole(getattr(prior, "dim", None)) and callable(getattr(prior, "sample", None))
    spec = prior if isinstance(prior, str) else "normal"
    check(
        ok and not isinstance(prior, type),
        f"prior is {textwrap.shorten(repr(prior), 80, placeholder='...')}; expected an object with dim and "
        f"sample(n, generator), such as priors.get({spec!r}, 100)",
    )


def length(z: Tensor) -> Tensor:
    """Norm of each latent, without overflow in the squares."""
    scale = z.abs().amax(dim=-1).clamp_min(1e-300)
    return scale * (z / scale[..., None]).norm(dim=-1)


def _written(name: str, value: Any) -> str:
    if isinstance(value, Prior):
        return value.spec
    return f"{name}={int(value) if float(value).is_integer() else repr(float(value))}"


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
        check(is_whole(self.dim) and self.dim >= 1, f"dim is {self.dim!r}; expected a whole number of at least 1")

    @property
    def spec(self) -> str:
        """The text from which `get` makes this prior again, as ``student-t(nu=3)``."""
        fields = [f for f in dataclasses.fields(self) if f.name != "dim"]
        values = ", ".join(_written(f.name, getattr(self, f.name)) for f in fields)
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
        shape = tuple(n) if isinstance(n, tuple | list) else (n,)
        ok = all(is_whole(k) and k >= 0 for k in shape)
        check(ok, f"cannot draw {n!r} latents; expected a whole number of at least 0, or a tuple of them")
        ok = generator is None or isinstance(generator, torch.Generator)
        check(ok, f"generator is {generator!r}; expected a torch.Generator: torch.Generator().manual_seed(0)")
        z = self._draw((*map(operator.index, shape), self.dim), generator)
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
        check(z.shape[-1:] == (self.dim,), f"latents of shape {tuple(z.shape)}; expected (..., {self.dim})")
        check(not bool(z.isnan().any()), "NaN in the latents; expected finite numbers")
        return self._log_prob(z.double())

    def _log_prob(self, z: Tensor) -> Tensor:
        raise ValueError(f"{self.name} has no density; use its marginal() and norm() laws")

    def _radial_log_prob(self, z: Tensor) -> Tensor:
        """Density of an isotropic law: that of the norm over the area of the sphere of that radius."""
        r = length(z).cpu().numpy()
        area = math.log(2) + self.dim / 2 * math.log(math.pi) - special.gammaln(self.dim / 2)
        value = self.norm().logpdf(r) - area - special.xlogy(self.dim - 1, r)
        return torch.as_tensor(value, dtype=z.dtype, device=z.device)
