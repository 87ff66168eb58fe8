"""Training of a discriminator by minimisation alone: on the dual, or on the exact plan of two batches."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import trange

from hollow.prior import check, is_whole
from hollow.transport.discrete import exact, samples
from hollow.transport.gaussian import of_samples
from hollow.transport.potential import FINAL, Potential, climb

LARGE = 2000  # points of the plan that is regressed on
RATE = 1e-2  # of Adam
BATCH = 384
HOT = 0.3  # temperature of the first step
ASCENT = 3  # steps towards the preimage of a code, each time that it is seen


def fit(
    x: Tensor, y: Tensor, *, steps: int = 1500, heads: int = 4, pieces: int = 32,
    generator: torch.Generator | None = None, progress: bool = False,
) -> Potential:  # fmt: skip
    """Return a map T from the law of a sample x to that of a sample y, so that T(z) can be decoded.

    Parameters
    ----------
    x, y : Tensor
        Samples (n, D) and (m, D), such as draws of N(0, I) and codes. More of x cost nothing.
    steps : int, keyword-only
        Updates of the dual, see `refine`.
    heads, pieces : int, keyword-only
        Size of the discriminator, see `Potential`.
    generator : torch.Generator, keyword-only, optional
        Of the first planes and of the batches.
    progress : bool, keyword-only
        Show a progress bar.

    Raises
    ------
    ValueError
        No tensors, different dimensions, NaN, fewer points than 10 or D + 1, points that are all alike; steps, heads
        or pieces < 1.
    """
    samples(x, y)
    x, y = x.float(), y.float()
    whole(steps)
    potential = Potential(x, y, heads=heads, pieces=pieces, generator=generator)
    refine(potential, x, y, steps, generator=generator, progress=progress)
    return potential.eval().requires_grad_(False)


def regress(
    potential: Potential, x: Tensor, y: Tensor, steps: int, *, generator: torch.Generator | None = None,
    progress: bool = False,
) -> None:  # fmt: skip
    r"""Fit phi to the Kantorovich potential u of the exact plan of two large batches, and its gradient to the plan.

    Least squares of phi - u, centred, and of :math:`\nabla\phi(x_i) - (x_i - \bar T(x_i))`, where :math:`\bar T` is the
    plan's mean image. What it finds is the transport of the batch. In many dimensions a batch is far from its law, and
    :math:`\bar T` shrinks towards the mean. Errors are those of `fit`.
    """
    x, y = _checked(potential, x, y, steps)
    x, y = (z[torch.randperm(len(z), generator=generator)[:LARGE]] for z in (x, y))
    plan = exact(x, y)
    height = x.square().sum(1) / 2 - plan.u.float()  # psi instead of phi
    update = _Updates(potential, steps)
    for _ in trange(steps, desc="plan", disable=not progress):
        i = torch.randint(len(x), (BATCH,), generator=generator)
        value, image = potential.both(x[i])
        off = value - height[i]
        update((image - plan.image[i]).square().sum(1).mean() + 0.1 * (off - off.mean()).square().mean())


def refine(
    potential: Potential, x: Tensor, y: Tensor, steps: int, *, generator: torch.Generator | None = None,
    progress: bool = False,
) -> None:  # fmt: skip
    r"""Minimise the dual :math:`E\,\psi(x) + E\,\psi^*(y)` over the discriminator, on fresh batches.

    :math:`\psi^*(y) = \max_x x \cdot y - \psi(x)` is a concave problem in D numbers, and no network plays against phi:
    each code keeps its preimage from one visit to the next, and `climb` brings it up to date. The gradient of
    :math:`\psi^*(y)` in the weights is that of :math:`-\psi` at the preimage. No batch is mistaken for its law.
    Errors are those of `fit`.
    """
    x, y = _checked(potential, x, y, steps)
    preimage = of_samples(y, x)(y)
    size = torch.full((len(y),), 0.3)
    update = _Updates(potential, steps)
    for step in trange(steps, desc="dual", disable=not progress):
        potential.temperature = cooled(step / steps)
        here = x[torch.randint(len(x), (BATCH,), generator=generator)]
        j = torch.randint(len(y), (BATCH,), generator=generator)
        start = _better_start(potential, y[j], preimage[j], here)
        preimage[j], size[j] = climb(potential, y[j], start, size[j], ASCENT)
        update(potential.both(here)[0].mean() - potential.both(preimage[j])[0].mean())


def whole(steps: int) -> None:
    """Raise a ValueError unless steps is a whole number, at least 1."""
    check(is_whole(steps) and steps > 0, f"steps is {steps!r}; expected a whole number, at least 1")


def _checked(potential: Potential, x: Tensor, y: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the samples in the precision of the potential, or raise a ValueError."""
    samples(x, y)
    whole(steps)
    dim, dtype = potential.planes.shape[2], potential.planes.dtype
    check(x.shape[1] == dim, f"samples have {x.shape[1]} coordinates, the potential {dim}; make one for these samples")
    return x.to(dtype), y.to(dtype)


def cooled(done: float) -> float:
    """Return the temperature after a share of the training: it falls to its last value in two thirds of it."""
    return FINAL * (HOT / FINAL) ** max(0.0, 1 - 1.5 * done)


@torch.no_grad()
def _better_start(potential: Potential, y: Tensor, kept: Tensor, here: Tensor) -> Tensor:
    """Return, for each y, the kept preimage or the best point of the batch, whichever makes x . y - psi(x) larger."""
    best, index = (y @ here.T - potential.both(here)[0]).max(1)
    worse = (kept * y).sum(1) - potential.both(kept)[0] < best
    return torch.where(worse[:, None], here[index], kept)


class _Updates:
    """Adam with a rate that falls to nought along a cosine."""

    def __init__(self, potential: Potential, steps: int) -> None:
        self.adam = torch.optim.Adam(potential.parameters(), RATE, betas=(0.8, 0.99))
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.adam, steps)

    def __call__(self, loss: Tensor) -> None:
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.schedule.step()
