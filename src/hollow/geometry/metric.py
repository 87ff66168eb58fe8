"""Riemannian metrics on latent space: pulled back through a decoder, or given as a function.

The length of a small step v at z is sqrt(v^T M(z) v). Latents are tensors of shape (..., D), matrices (..., D, D),
and curves (T, n, D): T points of n curves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from hollow.geometry.decoders import check_gradients, check_smooth, joint
from hollow.prior import check

VALUES = 2**22  # decoded values held at once: what bounds the memory of a decoder with many outputs


class Metric(ABC):
    """What every metric offers; a subclass says what the matrix is, and how geodesics accelerate."""

    @abstractmethod
    def matrix(self, z: Tensor) -> Tensor:
        """Return M(z), shape (n, D, D), for latents of shape (n, D)."""

    @abstractmethod
    def accelerate(self, z: Tensor, v: Tensor) -> Tensor:
        """Return c'' of the geodesic with c = z and c' = v, both (n, D); see `acceleration`."""

    @abstractmethod
    def squares(self, points: Tensor) -> Tensor:
        """Return the squared length of each step of curves (T, n, D), shape (T - 1, n), differentiable in `points`."""

    def check(self, z: Tensor, *, second: bool = False) -> None:
        """Raise `ValueError` unless the metric exists at latents z, and with `second` its derivatives."""
        check(
            isinstance(z, Tensor) and z.is_floating_point() and z.ndim >= 1 and z.shape[-1] >= 1,
            f"latents are {_shape(z)}; expected a floating-point tensor of shape (..., D)",
        )
        check(bool(torch.isfinite(z).all()), "latents hold NaN or infinity; give finite ones")

    def sample(self, z: Tensor) -> Tensor:
        """Return matrices at some of the latents (n, D), evenly chosen: at all of them, or at two if they cost much."""
        most = max(2, self.curves(z[None]) // (2 * z.shape[-1]))
        index = torch.linspace(0, len(z) - 1, min(len(z), most), dtype=torch.float64).round().long()
        return self.matrix(z[index.to(z.device)]).detach()

    def __call__(self, z: Tensor) -> Tensor:
        """Return the matrices M(z), shape (..., D, D)."""
        self.check(z)
        flat = z.reshape(-1, z.shape[-1]).contiguous()
        return self.matrix(flat).reshape(*z.shape, z.shape[-1])

    def acceleration(self, z: Tensor, v: Tensor) -> Tensor:
        """Return c'' = -Gamma(v, v) of the geodesic through z with velocity v, both (..., D).

        Raises
        ------
        ValueError
            If shapes differ, the metric is singular, or the decoder has no second derivatives.
        """
        self.check(z, second=True)
        check(z.shape == v.shape, f"velocities are {_shape(v)}, latents {_shape(z)}; expected one velocity a latent")
        flat, along = (x.reshape(-1, x.shape[-1]).contiguous() for x in (z, v))
        root(self.matrix(flat))
        return self.accelerate(flat, along).reshape(z.shape)

    def norm(self, z: Tensor, v: Tensor) -> Tensor:
        """Return the length sqrt(v^T M(z) v) of vectors v at z, shape (...)."""
        return torch.einsum("...i,...ij,...j->...", v, self(z), v).clamp_min(0).sqrt()

    def log_volume(self, z: Tensor) -> Tensor:
        """Return the logarithm of the volume measure sqrt(det M(z)), shape (...); a singular metric raises."""
        return root(self(z)).diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def volume(self, z: Tensor) -> Tensor:
        """Return the volume measure sqrt(det M(z)), shape (...): decoded volume per latent volume."""
        return self.log_volume(z).exp()

    @torch.no_grad()
    def length(self, points: Tensor) -> Tensor:
        """Return the length of curves that go through `points`, (T, ..., D) to (...); too short by O(1 / T^2)."""
        return self._steps(points).sqrt().sum(0).reshape(points.shape[1:-1])

    @torch.no_grad()
    def energy(self, points: Tensor) -> Tensor:
        """Return the mean squared speed of curves of unit time, (T, ..., D) to (...); at least length squared."""
        return (len(points) - 1) * self._steps(points).sum(0).reshape(points.shape[1:-1])

    def _steps(self, points: Tensor) -> Tensor:
        check(points.ndim >= 2 and len(points) >= 2, f"a curve is {_shape(points)}; expected (T, ..., D) with T >= 2")
        self.check(points)
        flat = points.reshape(len(points), -1, points.shape[-1])
        return torch.cat([self.squares(part) for part in flat.split(self.curves(flat), dim=1)], dim=1)

    def curves(self, points: Tensor) -> int:
        """Return how many of the curves (T, n, D) fit into memory at once."""
        return max(1, VALUES // (len(points) * points.shape[-1] ** 2))


class FromFunction(Metric):
    """A metric that is given as a function from latents (n, D) to matrices (n, D, D), symmetric and positive definite.

    Examples
    --------
    >>> sphere = FromFunction(lambda z: 4 * torch.eye(2) / (1 + z.square().sum(1))[:, None, None] ** 2)
    """

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function

    def matrix(self, z: Tensor) -> Tensor:
        found = self.function(z)
        expected = (*z.shape, z.shape[-1])
        check(found.shape == expected, f"the metric is {_shape(found)}; expected {expected} for latents {_shape(z)}")
        return found

    def accelerate(self, z: Tensor, v: Tensor) -> Tensor:
        # Euler and Lagrange: d/dt (M c') = grad(c'^T M c') / 2.
        matrix, change = jvp(self.matrix, (z,), (v,))[:2]
        force = grad(lambda at: torch.einsum("ni,nij,nj->", v, self.matrix(at), v))(z) / 2
        return torch.linalg.solve_ex(matrix, force - torch.einsum("nij,nj->ni", change, v))[0]

    def squares(self, points: Tensor) -> Tensor:
        step, middle = points.diff(dim=0), (points[1:] + points[:-1]) / 2
        matrix = self.matrix(middle.flatten(0, 1)).reshape(*middle.shape, middle.shape[-1])
        return torch.einsum("...i,...ij,...j->...", step, matrix, step)


class PullBack(Metric):
    """The metric J^T J of a decoder with Jacobian J: the length of a curve is that of its decoded image.

    A decoder that returns a mean and a standard deviation, (mu, sigma), gets the *expected* metric of its random images
    mu(z) + sigma(z) eps, which is J_mu^T J_mu + J_sigma^T J_sigma (Arvanitidis et al., 2018).

    Parameters
    ----------
    decoder : callable
        From latents (n, D) to a tensor (n, ...), or to several of them; of torch, each latent decoded by itself.

    Examples
    --------
    >>> metric = PullBack(decoder)
    >>> path = geodesic(metric, z0, z1)
    >>> path(torch.linspace(0, 1, 9))
    """

    def __init__(self, decoder: Callable[[Tensor], Any]):
        check(callable(decoder), f"decoder is {decoder!r}; expected a function or a module from latents to outputs")
        self.decoder = decoder
        self._outputs: dict[int, int] = {}
        self._checked: set[tuple[int, torch.dtype]] = set()
        self._smooth = False

    def check(self, z: Tensor, *, second: bool = False) -> None:
        super().check(z)
        dim = z.shape[-1]
        if (dim, z.dtype) not in self._checked:
            probe = z.reshape(-1, dim)[:2]
            self._outputs[dim] = check_gradients(self.decoder, probe)
            many = self._outputs[dim]
            check(many >= dim, f"metric is singular: the decoder has {many} outputs for {dim} latent dimensions")
            self._checked.add((dim, z.dtype))
        if second and not self._smooth:
            check_smooth(self.decoder, z.reshape(-1, dim)[:1])
            self._smooth = True

    def decode(self, z: Tensor) -> Tensor:
        """Return all outputs of the decoder side by side, shape (n, N)."""
        return joint(self.decoder, z)

    def jacobian(self, z: Tensor) -> Tensor:
        """Return the derivatives of the outputs, shape (n, N, D), for latents (n, D)."""
        axes = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        columns = vmap(lambda axis: jvp(self.decode, (z,), (torch.zeros_like(z) + axis,))[1])(axes)
        return columns.permute(1, 2, 0)

    def matrix(self, z: Tensor) -> Tensor:
        found = []
        for part in self._parts(z, z.shape[-1]):
            slope = self.jacobian(part)
            found.append(slope.mT @ slope)
        return torch.cat(found)

    def accelerate(self, z: Tensor, v: Tensor) -> Tensor:
        # For M = J^T J the equation of geodesics is J^T (J c'' + D^2 f[c', c']) = 0: the decoded curve has no
        # acceleration along the surface. So no Christoffel symbol is ever written down.
        found = []
        for part, along in zip(self._parts(z, 4), self._parts(v, 4), strict=True):
            slope = self.jacobian(part)
            bend = jvp(lambda at, w=along: jvp(self.decode, (at,), (w,))[1], (part,), (along,))[1]
            found.append(-torch.linalg.solve_ex(slope.mT @ slope, torch.einsum("nkd,nk->nd", slope, bend))[0])
        return torch.cat(found)

    def norm(self, z: Tensor, v: Tensor) -> Tensor:
        self.check(z)
        flat, along = (self._parts(x.reshape(-1, x.shape[-1]).contiguous(), 2) for x in (z, v))
        found = [jvp(self.decode, (a,), (b,))[1].norm(dim=1) for a, b in zip(flat, along, strict=True)]
        return torch.cat(found).reshape(z.shape[:-1])

    def squares(self, points: Tensor) -> Tensor:
        decoded = self.decode(points.flatten(0, 1)).reshape(*points.shape[:2], -1)
        return decoded.diff(dim=0).square().sum(-1)

    def curves(self, points: Tensor) -> int:
        return max(1, VALUES // (len(points) * self._outputs[points.shape[-1]]))

    def _parts(self, z: Tensor, copies: int) -> Iterator[Tensor]:
        size = self._outputs.get(z.shape[-1]) or 1
        yield from z.split(max(1, VALUES // (size * copies)))


def root(matrix: Tensor) -> Tensor:
    """Return the Cholesky factor L of M = L L^T, shape (..., D, D); a singular metric raises a `ValueError`."""
    factor, bad = factored(matrix)
    if bool(bad.any()):
        worst = int(bad.flatten().nonzero()[0])
        values = torch.linalg.eigvalsh(matrix.detach().reshape(-1, *matrix.shape[-2:])[worst])
        raise ValueError(
            f"metric is singular at point {worst}: eigenvalues from {float(values[0]):.2g} to {float(values[-1]):.2g}; "
            "add an RBF precision to the decoder, or use fewer latent dimensions"
        )
    return factor


def factored(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return Cholesky factors (..., D, D), and whether each matrix is singular to rounding, (...)."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    size = factor.diagonal(dim1=-2, dim2=-1).abs()
    # A pivot that is only rounding is no pivot: the metric has a direction in which nothing changes.
    room = 10 if matrix.dtype == torch.float64 else 1  # float32 has little: hills of a precision are steep on one side
    return factor, (info != 0) | (size.amin(-1) <= room * torch.finfo(matrix.dtype).eps ** 0.5 * size.amax(-1))


def _shape(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
