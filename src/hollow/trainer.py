"""Both networks and their optimisers, advanced one step at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hollow import devices, priors
from hollow.dcgan import SIZE, Discriminator, init_he, init_normal
from hollow.distributed import ALONE, Ranks
from hollow.experiments import Experiment, Recipe
from hollow.graphs import Replayed

LAST_GAIN = {"conv": 1.0, "fc": 0.05}  # of the generator's last layer, see `hollow.dcgan.init_he`
_LATENTS, _GRID, _ORDER, _INIT = range(4)  # streams of random numbers


class Trainer:
    """Both networks, their optimisers and the averaged generator, advanced one step at a time.

    The number of steps done is the only state of the random streams: the latents and images of step k depend on
    (`seed`, k) alone, so that a resumed run repeats an undisturbed one.

    Parameters
    ----------
    experiment : Experiment
        Prior, latent dimension and architecture.
    recipe : Recipe
        Widths, optimiser, penalty and averaging.
    images : Tensor
        Training images, uint8 of shape (n, 3, 64, 64).
    device : str, keyword-only
        "cpu" or "cuda".
    seed : int, keyword-only
    bf16 : bool, keyword-only, optional
        Convolutions in bfloat16 and channels_last; the weights stay float32. By default where the device has bfloat16
        units.
    ranks : Ranks, keyword-only
        This process's place among those that train the model together. The recipe's batch is that of all of them:
        each takes its part of the images and latents of the step, and their gradients are averaged, so that they do
        what one process would do.
    graphs : bool, keyword-only
        Replay each step as one CUDA graph (`hollow.graphs`): for one process on a GPU.

    Notes
    -----
    Losses are the non-saturating ones of Goodfellow et al. (2014), in nats. Source: Appendix A; chapter 07.
    """

    def __init__(
        self,
        experiment: Experiment,
        recipe: Recipe,
        images: Tensor,
        *,
        device: str = "cpu",
        seed: int = 0,
        bf16: bool | None = None,
        ranks: Ranks = ALONE,
        graphs: bool = False,
    ) -> None:
        if images.dtype != torch.uint8 or images.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(
                f"images are {images.dtype} of shape {tuple(images.shape)}; expected uint8 (n, 3, {SIZE}, {SIZE})"
            )
        if len(images) < recipe.batch:
            raise ValueError(f"{len(images)} images are fewer than a batch of {recipe.batch}; give more images")
        ranks.share(recipe.batch)
        bf16 = devices.bfloat16(device) if bf16 is None else bf16
        self.experiment, self.recipe, self.seed, self.bf16, self.ranks = experiment, recipe, seed, bf16, ranks
        self.device, self.graphs = torch.device(device), graphs
        if graphs and (self.device.type != "cuda" or ranks.world > 1):
            raise ValueError(
                f"graphs with {ranks.world} process(es) on {device}; expected one process on a GPU: leave graphs out"
            )
        self.images = images.to(self.device)
        self.prior = priors.get(experiment.prior, experiment.dim)
        self.generator = experiment.generator(recipe.width)
        self.discriminator = Discriminator(width=recipe.width, arch=experiment.arch)
        init = torch.Generator().manual_seed(self._stream(_INIT, 0))
        if recipe.init == "he":
            gain = LAST_GAIN[experiment.arch]
            init_he(self.generator, init, median_norm=self.prior.median_norm, last_gain=gain)
            init_he(self.discriminator, init)
        else:
            init_normal(self.generator, init)
            init_normal(self.discriminator, init)
        layout = torch.channels_last if bf16 else torch.contiguous_format
        self.generator.to(self.device).to(memory_format=layout)
        self.discriminator.to(self.device).to(memory_format=layout)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.optimisers = {
            name: torch.optim.Adam(
                net.parameters(), recipe.lr, betas=(recipe.beta1, recipe.beta2), fused=True, capturable=graphs
            )
            for name, net in (("generator", self.generator), ("discriminator", self.discriminator))
        }
        # Called in place of the networks where gradients of their weights follow; alone, they are the networks.
        self._generate, self._judge = ranks.wrap(self.generator), ranks.wrap(self.discriminator)
        self.done = 0
        self._epoch, self._order = -1, torch.empty(0)
        self._updates = self._ways()

    def _ways(self) -> dict[bool, Callable[..., dict[str, Tensor]]]:
        """The update without and with the penalty: two sequences of kernels, so two graphs where graphs are wanted."""
        ways = {penalised: partial(self._update, penalised=penalised) for penalised in (False, True)}
        return {key: Replayed(way) for key, way in ways.items()} if self.graphs else dict(ways)

    def _stream(self, kind: int, index: int) -> int:
        return int(np.random.SeedSequence([self.seed, kind, index]).generate_state(1, np.uint64)[0] >> 1)

    def latents(self, n: int, step: int, stream: int = _LATENTS) -> Tensor:
        """Return the `n` latents of a step, shape (n, D)."""
        z = self.prior.sample(n, torch.Generator().manual_seed(self._stream(stream, step)))
        return self._sent(z)

    def _sent(self, x: Tensor) -> Tensor:
        x = x.pin_memory() if self.device.type == "cuda" else x  # else the host would wait for the copy
        return x.to(self.device, non_blocking=True)

    def batch(self, step: int) -> Tensor:
        """Return the real images of a step in [-1, 1], shape (batch, 3, 64, 64); each epoch has its own order.

        Where several processes train, this process's part of them.
        """
        size = self.recipe.batch
        epoch, place = divmod(step, len(self.images) // size)
        if epoch != self._epoch:
            order = torch.Generator().manual_seed(self._stream(_ORDER, epoch))
            self._epoch, self._order = epoch, self._sent(torch.randperm(len(self.images), generator=order))
        x = self.images[self.ranks.part(self._order[place * size : (place + 1) * size])]
        x = x.contiguous(memory_format=torch.channels_last) if self.bf16 else x
        return x.float().div_(127.5).sub_(1)

    def step(self) -> dict[str, Tensor]:
        """Update discriminator and generator once on one batch of fakes, and return the losses in nats.

        Where several processes train, the losses are those of this process's part of the batch.
        """
        recipe, done = self.recipe, self.done
        real, z = self.batch(done), self.ranks.part(self.latents(recipe.batch, done))
        # The average starts short, so that early samples do not show the initial weights.
        share = torch.full((), 1 - min(recipe.ema, (1 + done) / (10 + done)), device=self.device)
        losses = self._updates[bool(recipe.r1_gamma) and done % recipe.r1_every == 0](real, z, share)
        self.done += 1
        return losses

    def _update(self, real: Tensor, z: Tensor, share: Tensor, *, penalised: bool) -> dict[str, Tensor]:
        """Change the weights in place; a graph may replay this, so nothing here depends on the number of the step."""
        discriminator = self.discriminator
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)
        with autocast:
            fake = self._generate(z)
            d_loss = (
                F.softplus(-_wide(self._judge(real))).mean()
                + F.softplus(_wide(self._judge(fake.detach()))).mean()
            )
        self.optimisers["discriminator"].zero_grad()
        d_loss.backward()
        losses = {"d_loss": d_loss.detach()}
        if penalised:
            with autocast:
                penalty = self._r1(real)
            (penalty * self.recipe.r1_every).backward()  # its gradients add to those that the ranks share already
            losses["r1"] = penalty.detach()
        self.optimisers["discriminator"].step()

        discriminator.requires_grad_(False)  # the generator's update needs no gradient of the discriminator's weights
        with autocast:  # the bare network: its wrapper would wait for gradients of weights that need none
            g_loss = F.softplus(-_wide(discriminator(fake))).mean()
        self.optimisers["generator"].zero_grad()
        g_loss.backward()
        self.optimisers["generator"].step()
        discriminator.requires_grad_(True)
        self._average(share)
        return losses | {"g_loss": g_loss.detach()}

    def _r1(self, real: Tensor) -> Tensor:
        """Return gamma / 2 times the mean squared gradient norm of the logit on real images."""
        real = real.detach().requires_grad_(True)
        logits = _wide(self._judge(real))
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        penalty = self.recipe.r1_gamma / 2 * _wide(gradient).square().sum((1, 2, 3)).mean()
        # DistributedDataParallel averages once every weight has a gradient, but the last bias has none from the
        # penalty (pytorch issue 47562): without this zero the ranks would drift apart.
        return penalty + 0 * logits.sum() if self.ranks.world > 1 else penalty

    @torch.no_grad()
    def _average(self, share: Tensor) -> None:
        """Move the averaged generator the given share of the way to the present one."""
        for mean, now in zip(
            self.averaged.state_dict().values(), self.generator.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(now, share.to(mean.dtype))
            else:
                mean.copy_(now)

    @torch.no_grad()
    def samples(self, n: int = 64) -> Tensor:
        """Return `n` images of the averaged generator, always of the same latents, shape (n, 3, 64, 64)."""
        return self.averaged(self.latents(n, 0, _GRID)).float().cpu()

    def state(self) -> dict[str, Tensor]:
        """Return every tensor that a resumed run needs, by name."""
        tensors: dict[str, Tensor] = {}
        for name, net in self._networks().items():
            tensors |= {f"{name}.{key}": value for key, value in net.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            for i, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{name}.{i}.{key}": value for key, value in moments.items()}
        return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}

    def load_state(self, tensors: dict[str, Tensor], done: int) -> None:
        """Continue after step `done` from the tensors that `state` returned."""
        for name, net in self._networks().items():
            net.load_state_dict({k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")})
        for name, optimiser in self.optimisers.items():
            whole: dict[str, Any] = optimiser.state_dict()
            weights = optimiser.param_groups[0]["params"]
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"adam.{name}."):
                    _, _, i, moment = key.split(".")
                    # Fused Adam walks raw memory: a moment must have the layout of its weight.
                    like = value if moment == "step" else torch.empty_like(weights[int(i)]).copy_(value)
                    moments.setdefault(int(i), {})[moment] = like
            optimiser.load_state_dict(whole | {"state": moments})
        self._updates = self._ways()  # a graph would go on with the memory of the moments that were
        self.done = done

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "averaged": self.averaged}

    def finite(self) -> bool:
        """Return whether every weight is finite."""
        return all(bool(torch.isfinite(p).all()) for net in self._networks().values() for p in net.parameters())


def _wide(x: Tensor) -> Tensor:
    """Return the tensor in float32 if it is narrower; float64 stays what it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
