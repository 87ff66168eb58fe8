"""Autoencoders and their variational form, for codes to transport and decoders to measure; four are shipped."""

from __future__ import annotations

import itertools
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.nn import functional as F

from hollow import devices
from hollow.dcgan import Discriminator, Generator, init_he
from hollow.learning import Task, learn, stream
from hollow.machine import provenance, shipped
from hollow.quality.pixels import unit
from hollow.zoo import PHOTOGRAPHS_LICENCE, PORTRAITS_LICENCE, read_pair, write_pair

NAMES = ("portraits", "portraits-vae", "photographs", "photographs-vae")
DIM, WIDTH, STEPS = 32, 16, 3000  # of those that are shipped
IMAGES = 20_000  # that they are trained on
HELD_OUT = 1 << 20  # seed of the portraits of the held-out error
FEWEST = 200  # photographs
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "softplus": nn.Softplus, "tanh": nn.Tanh}


class Autoencoder(nn.Module):
    r"""Images to codes and back, by least squares, or as a variational autoencoder.

    The plain form minimises the squared error. The variational one (Kingma and Welling 2014) minimises

    .. math:: \tfrac{P}{2} \log \overline{(x - \mu(z))^2} + \beta\,\mathrm{KL}\big(q(z \mid x) \,\|\, N(0, I)\big)

    for P values a picture. With :math:`\beta = 1` it is a Gaussian likelihood whose variance is its best value (Rybkin
    et al. 2021), so that no weight between the two terms has to be chosen; another weight acts as another variance.

    Attributes
    ----------
    dim : int
        D, coordinates of a code.
    variational : bool
    weight : float
        Beta; used in training only, and so not among the tensors.
    shift, scale : Tensor
        Codes are ``(encoder - shift) / scale``. `standardize` sets them for the plain form, whose codes have no scale
        of their own.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, dim: int, variational: bool, weight: float = 1.0) -> None:
        super().__init__()
        self.dim, self.variational, self.weight = dim, variational, weight
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    @abstractmethod
    def coded(self, images: Tensor) -> Tensor:
        """Return what the encoder says: (n, D), or (n, 2 D) with logarithms of variances behind the means."""

    @abstractmethod
    def drawn(self, codes: Tensor) -> Tensor:
        """Return what the decoder draws from codes that are not standardised."""

    def encode(self, images: Tensor) -> Tensor:
        """Return codes (n, D), of the variational form the means."""
        return (self.coded(images)[:, : self.dim] - self.shift) / self.scale

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes (n, D)."""
        return self.drawn(z * self.scale + self.shift)

    def loss(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return the mean over images (n, ...) of what is minimised; `noise` is N(0, I), (n, D)."""
        codes = self.coded(images)
        if not self.variational:
            return F.mse_loss(self.drawn(codes), images)
        mean, log_variance = codes.chunk(2, 1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
        error = F.mse_loss(self.drawn(mean + (0.5 * log_variance).exp() * noise), images)
        return 0.5 * images[0].numel() * error.log() + self.weight * divergence

    @torch.no_grad()
    def standardize(self, images: Tensor) -> None:
        """Give the codes of `images` mean 0, and variance 1 on the average over coordinates."""
        codes = torch.cat([self.encode(part) * self.scale + self.shift for part in images.split(1000)])
        self.shift.copy_(codes.mean(0))
        self.scale.copy_(codes.var(0).mean().sqrt())


class Dense(Autoencoder):
    """Fully connected, for digits: values in [0, 1].

    Parameters
    ----------
    pixels, dim : int
        Values of a picture, coordinates of a code.
    hidden : sequence of int, keyword-only
        Units of the encoder's hidden layers; the decoder has them in reverse.
    activation : {"softplus", "relu", "tanh"}, keyword-only
        All but ReLU have second derivatives.
    variational, weight : bool and float, keyword-only
        See `Autoencoder`.
    generator : torch.Generator, keyword-only, optional
        Of the first weights.
    """

    def __init__(
        self, pixels: int, dim: int, *, hidden: Sequence[int] = (256, 128), activation: str = "softplus",
        variational: bool = False, weight: float = 1.0, generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dim, variational, weight)
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; expected {', '.join(ACTIVATIONS)}")

        def layers(sizes: Sequence[int]) -> nn.Sequential:
            parts: list[nn.Module] = []
            for n_in, n_out in itertools.pairwise(sizes):
                parts += [ACTIVATIONS[activation](), nn.Linear(n_in, n_out)]
            for part in parts[1::2]:
                nn.init.xavier_normal_(part.weight, generator=generator)  # type: ignore[arg-type]
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
            return nn.Sequential(*parts[1:])

        self.encoder = layers([pixels, *hidden, 2 * dim if variational else dim])
        self.decoder = layers([dim, *reversed(hidden), pixels])

    def coded(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def drawn(self, codes: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(codes))


class Convolutional(Autoencoder):
    """The discriminator of chapter 07 with `dim` outputs, then its generator: images (n, 3, 64, 64) in [-1, 1]."""

    def __init__(self, dim: int = DIM, *, width: int = WIDTH, variational: bool = False) -> None:
        super().__init__(dim, variational)
        *body, score = Discriminator(width=width).layers
        assert isinstance(score, nn.Linear)
        self.encoder = nn.Sequential(*body, nn.Linear(score.in_features, 2 * dim if variational else dim))
        self.decoder = Generator(dim, width=width)

    def coded(self, images: Tensor) -> Tensor:
        with self._training_in_bfloat16(images.device):
            return self.encoder(images.contiguous(memory_format=torch.channels_last)).float()

    def drawn(self, codes: Tensor) -> Tensor:
        with self._training_in_bfloat16(codes.device):
            return self.decoder.pre_tanh(codes).float().tanh()

    def _training_in_bfloat16(self, device: torch.device) -> torch.autocast:
        """Halve the time of a training step where there are such units; once trained, all runs in float32."""
        enabled = self.training and devices.bfloat16(str(device))
        return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


class Fit(Task):
    """Training of an autoencoder on images that are kept in memory, in uint8 or as floats."""

    rate = 3e-3
    network: Autoencoder

    def __init__(self, network: Autoencoder, images: Tensor, name: str, source: str, *, batch: int, seed: int) -> None:
        super().__init__()
        self.network, self.images, self.name, self.source = network, images, name, source
        self.size, self.seed = batch, seed

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images drawn with repetition, and noise."""
        generator = torch.Generator().manual_seed(stream(self.seed, step))
        chosen = self.images[torch.randint(len(self.images), (self.size,), generator=generator)]
        noise = torch.randn(self.size, self.network.dim, generator=generator)
        return chosen if chosen.is_floating_point() else unit(chosen), noise

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return self.network.loss(*batch)

    def facts(self) -> dict[str, Any]:
        return {"images": self.source, "n_images": len(self.images), "batch": self.size, "seed": self.seed}


def fit(
    network: Autoencoder, images: Tensor, *, steps: int = 2000, batch: int = 128,
    generator: torch.Generator | None = None, progress: bool = True,
) -> Autoencoder:  # fmt: skip
    """Train a network in memory, freeze and return it; the plain form is standardised.

    Parameters
    ----------
    network : Autoencoder
    images : Tensor
        (n, ...) floats in the range of the network's pictures.
    steps, batch : int, keyword-only
        Updates, and images in each.
    generator : torch.Generator, keyword-only, optional
        Decides which images and noise a step sees.

    Raises
    ------
    ValueError
        If an image is not finite.
    """
    if not bool(torch.isfinite(images).all()):
        raise ValueError("images hold NaN or infinity; give finite ones")
    seed = int(torch.randint(1000, (), generator=generator))
    learn(Fit(network, images, "autoencoder", "", batch=batch, seed=seed), steps, None, progress=progress)
    if not network.variational:
        network.standardize(images)
    return network.requires_grad_(False)


def make(
    name: str, images: Tensor, out: str | Path, *, source: str = "procedural", steps: int = STEPS, seed: int = 0,
    resume: bool = False, command: str = "", progress: bool = True,
) -> Path:  # fmt: skip
    """Train one of those that are shipped and write it to the folder `out`, the variational form without its encoder.

    The last tenth of the images is held out, for the error in the manifest: the mean squared error of decoded codes
    over the variance of the images around their mean.

    Parameters
    ----------
    name : {"portraits", "portraits-vae", "photographs", "photographs-vae"}
    images : Tensor
        (n, 3, 64, 64), uint8, n at least 200.
    out : path
        Folder of the weights, the manifest and the checkpoint.
    source, command : str, keyword-only
        For the manifest: words that name the images, and the command that repeats the run.
    steps, seed : int, keyword-only
        Updates of 64 images each; the first weights and the order of the images.
    resume : bool, keyword-only
        Continue from the checkpoint in `out`, if there is one.

    Raises
    ------
    FileExistsError, ValueError, KeyboardInterrupt
        As `hollow.learning.learn` does; ValueError for too few images, too.
    """
    if len(images) < FEWEST:
        raise ValueError(f"{len(images)} images are too few for an autoencoder; expected at least {FEWEST}")
    known, held_out = images[: -(len(images) // 10)], unit(images[-(len(images) // 10) :][:2000])
    started = time.perf_counter()
    network, generator = Convolutional(variational=name.endswith("-vae")), torch.Generator().manual_seed(seed)
    init_he(network.encoder, generator, last_gain=0.1)  # codes begin near the origin, variances near one
    init_he(network.decoder, generator)
    task = Fit(network, known, name, source, batch=64, seed=seed)
    learn(task, steps, Path(out) / f"{name}.checkpoint.safetensors", resume=resume, progress=progress)
    if not network.variational:
        network.standardize(unit(known[:2000]))
    with torch.no_grad():
        errors = torch.cat([(network.decode(network.encode(x)) - x).square() for x in held_out.split(250)])
    weights = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    if network.variational:
        weights = {key: value for key, value in weights.items() if not key.startswith("encoder.")}
    record = {
        "name": name,
        "dim": network.dim,
        "width": WIDTH,
        "variational": network.variational,
        **task.facts(),
        "steps": steps,
        "unexplained": round(float(errors.mean() / held_out.var(0).mean()), 4),
        "seconds": None if resume else round(time.perf_counter() - started, 1),
        "command": command,
        **provenance(),
        "licence": PORTRAITS_LICENCE if source == "procedural" else PHOTOGRAPHS_LICENCE,
    }
    path = Path(out) / f"{name}.safetensors"
    write_pair(path, to_bytes(weights), record)
    return path


class Shipped:
    """A trained autoencoder: its manifest, and pictures and codes in batches."""

    def __init__(self, network: Convolutional, manifest: dict[str, Any]) -> None:
        self.network, self.manifest, self.dim = network, manifest, network.dim

    @torch.no_grad()
    def encode(self, images: Tensor, *, batch: int = 256) -> Tensor:
        """Return codes (n, D) of images (n, 3, 64, 64), floats in [-1, 1] or uint8."""
        if self.network.variational:
            raise ValueError(f"{self.manifest['name']} is shipped without its encoder; draw codes from N(0, I)")
        parts = (part if part.is_floating_point() else unit(part) for part in images.split(batch))
        return torch.cat([self.network.encode(part) for part in parts])

    @torch.no_grad()
    def decode(self, z: Tensor, *, batch: int = 256) -> Tensor:
        """Return images (n, 3, 64, 64) in [-1, 1] of codes (n, D)."""
        return torch.cat([self.network.decode(part) for part in z.split(batch)])


def load(name: str, folder: str | Path | None = None) -> Shipped:
    """Return a trained autoencoder; a ValueError names the command that makes a missing or damaged one.

    Parameters
    ----------
    name : {"portraits", "portraits-vae", "photographs", "photographs-vae"}
    folder : path, optional
        Folder of weights and manifests; by default those that are shipped.
    """
    if name not in NAMES:
        raise ValueError(f"unknown autoencoder {name!r}; expected {', '.join(NAMES)}")
    folder = Path(folder or shipped("autoencoders"))
    photographs = " --images FOLDER_OR_ZIP" if name.startswith("photographs") else ""
    mend = f"restore it or make it again: hollow autoencoder {name}{photographs}"
    tensors, record = read_pair(folder / f"{name}.safetensors", mend)
    network = Convolutional(record["dim"], width=record["width"], variational=record["variational"])
    lacks = network.load_state_dict(tensors, strict=False)
    if lacks.unexpected_keys or any(not key.startswith("encoder.") for key in lacks.missing_keys):
        raise ValueError(f"{folder / name}.safetensors does not fit its manifest; {mend}")
    return Shipped(network.eval().requires_grad_(False), record)
