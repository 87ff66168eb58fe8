"""Other ways from N(0, I) to the law of codes, each with the updates and seconds that it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hollow.prior import check, is_whole
from hollow.transport.discrete import costs, out_of_sample, sample
from hollow.transport.fitting import fit, regress, whole
from hollow.transport.gaussian import of_samples
from hollow.transport.potential import Potential

PLAN = 1000  # points of the plans that POT solves
REG = 0.01  # of the entropic plan, as a share of the mean cost
GAN_BATCH = 256


@dataclass(frozen=True)
class Rival:
    """A map from latents (n, D) to codes (n, D), the updates that made it, and the seconds."""

    map: Callable[[Tensor], Tensor]
    steps: int
    seconds: float


def ways(codes: Tensor, *, steps: int = 1500, generator: torch.Generator | None = None) -> dict[str, Rival]:
    """Make every map from N(0, I) to the law of codes (m, D), by name.

    Returns
    -------
    dict
        "simple law" leaves latents as they are. "moments" is the affine map between normal laws. "transport" is the
        discriminator's, trained on the dual, "plan regression" on the exact plan of a batch. "exact plan" and
        "entropic plan" are POT's, of a thousand points. "GAN" is trained in code space.

    Raises
    ------
    ValueError
        As `fit` does.
    """
    sample(codes, "the sample of codes")
    whole(steps)
    codes = codes.float()
    x = torch.randn(len(codes), codes.shape[1], generator=generator)
    some, chosen = x[:PLAN], codes[torch.randperm(len(codes), generator=generator)[:PLAN]]
    reg = REG * float(costs(some, chosen).mean())

    def planned() -> Potential:
        potential = Potential(x, codes, generator=generator)
        regress(potential, x, codes, steps, generator=generator)
        return potential.requires_grad_(False)

    def pot(reg: float | None) -> Callable[[Tensor], Tensor]:
        plan = out_of_sample(some, chosen, reg)
        return lambda z: plan.transform(Xs=z.double()).to(z.dtype)

    made: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], int]] = {
        "simple law": (lambda: lambda z: z, 0),
        "moments": (lambda: of_samples(x, codes), 0),
        "transport": (lambda: fit(x, codes, steps=steps, generator=generator), steps),
        "plan regression": (planned, steps),
        "exact plan": (lambda: pot(None), 0),
        "entropic plan": (lambda: pot(reg), 0),
        "GAN": (lambda: gan(codes, steps=3 * steps, generator=generator), 3 * steps),  # of about equal seconds
    }
    found = {}
    for name, (make, updates) in made.items():
        start = time.perf_counter()
        found[name] = Rival(make(), updates, time.perf_counter() - start)
    return found


def gan(
    codes: Tensor, *, steps: int = 1500, width: int = 128, generator: torch.Generator | None = None
) -> Callable[[Tensor], Tensor]:
    """Return the generator of a small GAN in code space: two hidden layers each, the non-saturating loss with R1.

    A ValueError says if codes are no finite floats (m, D), m at least 10, or if steps or width are below 1.
    """
    sample(codes, "the sample of codes")
    whole(steps)
    check(is_whole(width) and width > 0, f"width is {width!r}; expected a whole number, at least 1")
    codes = codes.float()
    dim = codes.shape[1]

    def network(outputs: int) -> nn.Sequential:
        sizes = ((dim, width), (width, width), (width, outputs))
        layers = [nn.Linear(n_in, n_out) for n_in, n_out in sizes]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, 0.2, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)
        first, second, last = layers
        return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)

    maker, critic = network(dim), network(1)
    updates = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.99)) for net in (maker, critic)]
    slower = [torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps) for adam in updates]
    for _ in range(steps):
        z = torch.randn(GAN_BATCH, dim, generator=generator)
        real = codes[torch.randint(len(codes), (GAN_BATCH,), generator=generator)].requires_grad_()
        fake = maker(z)
        score = critic(real)
        (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        critic_loss = F.softplus(-score).mean() + F.softplus(critic(fake.detach())).mean()
        _update(updates[1], critic_loss + 0.05 * slope.square().sum(1).mean())
        _update(updates[0], F.softplus(-critic(fake)).mean())
        for schedule in slower:
            schedule.step()
    return maker.requires_grad_(False)


def _update(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()
    adam.step()
