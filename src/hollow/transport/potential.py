r"""Liu et al.'s map x - grad phi(x), with a discriminator phi whose map is optimal whatever its weights are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hollow.prior import check, is_whole
from hollow.transport.gaussian import of_samples

FINAL = 0.005  # temperature of the smooth maxima, for coordinates of size 1
SHARE = 0.5  # of the affine map between the moments, that the quadratic part starts with


class Potential(nn.Module):
    r"""The discriminator :math:`\phi(x) = |x|^2/2 - \psi(x)` with the convex function

    .. math:: \psi(x) = \tfrac12 |L x|^2 + m \cdot x + \sum_h \tau \log \sum_k \exp((w_{hk} \cdot x + b_{hk}) / \tau)

    and the map :math:`T(x) = x - \nabla \phi(x) = \nabla \psi(x)`, which is what calling it returns. A gradient of a
    convex function is the optimal map from any law to the law of its images (Brenier 1991), trained or not.

    Each head h is a smooth maximum of planes: of one head, T is nearly constant on the cells of a power diagram, as in
    transport to points (Lei et al. 2019). Heads of two planes are the units of a convex network.

    Parameters
    ----------
    x, y : Tensor
        Samples (n, D), (m, D) whose moments the first map follows.
    heads, pieces : int, keyword-only
        How many smooth maxima, of how many planes.
    generator : torch.Generator, keyword-only, optional
        Of the first planes.

    Raises
    ------
    ValueError
        Samples that `of_samples` refuses, heads or pieces < 1; points to map that are no floats (n, D).
    """

    def __init__(
        self, x: Tensor, y: Tensor, *, heads: int = 4, pieces: int = 32, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        for value, what in ((heads, "heads"), (pieces, "pieces")):
            check(is_whole(value) and value > 0, f"{what} is {value!r}; expected a whole number, at least 1")
        affine = of_samples(x, y)
        values, vectors = torch.linalg.eigh(SHARE * affine.matrix)
        self.root = nn.Parameter((values.clamp(min=0).sqrt()[:, None] * vectors.T).float())  # L
        self.shift = nn.Parameter(affine.shift.float())  # m
        spread = (1 - SHARE) * float(y.std(0).square().mean().sqrt()) / heads**0.5
        self.planes = nn.Parameter(spread * torch.randn(heads, pieces, x.shape[1], generator=generator))  # w
        self.offsets = nn.Parameter(-self.planes.detach().square().sum(2) / 2)  # b
        self.temperature = FINAL

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return psi(x), (n,), and its gradient T(x), (n, D), of points (n, D)."""
        flat = self.planes.flatten(0, 1)
        heights = torch.addmm(self.offsets.flatten(), x, flat.T).unflatten(1, self.offsets.shape)
        scaled = heights / self.temperature
        maxima = scaled.logsumexp(2)
        shares = (scaled - maxima[..., None]).exp().flatten(1)
        inner = x @ self.root.T
        value = self.temperature * maxima.sum(1) + inner.square().sum(1) / 2 + x @ self.shift
        return value, shares @ flat + inner @ self.root + self.shift

    def forward(self, x: Tensor) -> Tensor:
        return self.both(self._points(x))[1]

    def phi(self, x: Tensor) -> Tensor:
        r"""Return the discriminator :math:`|x|^2 / 2 - \psi(x)`, (n,)."""
        x = self._points(x)
        return x.square().sum(1) / 2 - self.both(x)[0]

    def _points(self, x: Tensor) -> Tensor:
        """Return points (n, D) in the precision of the weights, or raise a ValueError."""
        if not isinstance(x, Tensor):
            raise ValueError(f"points are a {type(x).__name__}; expected a torch tensor, such as torch.as_tensor(x)")
        dim = self.planes.shape[2]
        if x.ndim != 2 or x.shape[1] != dim or not x.is_floating_point():
            raise ValueError(f"points are {x.dtype} of shape {tuple(x.shape)}; expected floats (n, {dim}), as fitted")
        return x.to(self.planes.dtype)


@torch.no_grad()
def climb(potential: Potential, y: Tensor, x: Tensor, size: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    r"""Return better x, and step sizes, for the concave problem :math:`\psi^*(y) = \max_x x \cdot y - \psi(x)`.

    Ascent along y - T(x), each point with its own step size: half after a step that would lower the value, and is not
    taken, half as much again after one that is. At the solution T(x) = y: x is where y comes from.
    """
    value, image = potential.both(x)
    value = (x * y).sum(1) - value
    for _ in range(steps):
        new = x + size[:, None] * (y - image)
        new_value, new_image = potential.both(new)
        new_value = (new * y).sum(1) - new_value
        better = new_value >= value
        value = torch.where(better, new_value, value)
        x, image = torch.where(better[:, None], new, x), torch.where(better[:, None], new_image, image)
        size = size * torch.where(better, 1.5, 0.5)
    return x, size.clamp(1e-3, 10)
