"""A small convolutional network from pictures to 64 features: one for portraits, one for photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hollow.files import read_record, sha256
from hollow.machine import shipped

DIM = 64  # features
CHANNELS = (32, 48, 72)  # at 32 x 32, 16 x 16 and 8 x 8
NAMES = ("portraits", "photographs")


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)[:2]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class Network(nn.Module):
    """Pictures (n, 3, 64, 64) in [-1, 1] to features (n, 64), each of mean 0 and variance 1 in training.

    The stem moves each 2 x 2 block of pixels into the channels, so that no detail is lost before the first
    convolution. A factor is the place or the colour of something small: with a head, the readout keeps all cells of
    the last map apart. Without one, it averages each quarter of the map.

    Parameters
    ----------
    outputs : int
        Outputs of a linear head on the features, or 0 for no head.
    """

    def __init__(self, outputs: int = 0) -> None:
        super().__init__()
        a, b, c = CHANNELS
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2), _conv(12, a), _conv(a, b, 2), _Residual(b), _conv(b, c, 2), _Residual(c)
        )
        if outputs:
            cells = [nn.Conv2d(c, 16, 1), nn.ReLU(), nn.Flatten()]
            hidden = [nn.Linear(16 * 64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, DIM)]
            self.readout = nn.Sequential(*cells, *hidden)
        else:
            self.readout = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * c, DIM))
        self.head = nn.Linear(DIM, outputs) if outputs else None
        self.standard = nn.BatchNorm1d(DIM, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        # bfloat16 halves the time of a training step; a trained network is always run in float32.
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.training):
            maps = self.body(images.contiguous(memory_format=torch.channels_last))
        return self.standard(self.readout(maps.float()))


@dataclass(frozen=True)
class Statistics:
    """What is known of the features of real images: their mean (d,), covariance (d, d) and number, and some rows."""

    mean: Tensor
    cov: Tensor
    n: int
    rows: Tensor


@dataclass(frozen=True)
class Features:
    """A trained feature network, its manifest, and the statistics of real images that are shipped with it.

    Attributes
    ----------
    name : str
        "portraits" or "photographs".
    network : Network
        Frozen, in float32.
    manifest : dict
        Where the weights come from: command, commit, hardware, SHA-256, held-out scores.
    reference : Statistics or None
        Of photographs: mean and covariance over those that the network was trained on, rows from those held out.
        None for portraits, which can be drawn at will.
    """

    name: str
    network: Network
    manifest: dict[str, Any]
    reference: Statistics | None = None

    @torch.no_grad()
    def features(self, images: Tensor, *, batch: int = 256) -> Tensor:
        """Return the features of images.

        Parameters
        ----------
        images : Tensor
            (n, 3, 64, 64), floats in [-1, 1], n at least 1.
        batch : int, keyword-only
            Images at once.

        Returns
        -------
        Tensor
            (n, 64), float32, on the CPU.

        Raises
        ------
        ValueError
            For another shape, integers, NaN, or values outside [-1, 1].
        """
        check(images)
        device = next(self.network.parameters()).device
        return torch.cat([self.network(part.to(device, torch.float32)).cpu() for part in images.split(batch)])

    def factors(self, images: Tensor, *, batch: int = 256) -> dict[str, Tensor]:
        """Return the value of each of `hollow.faces.FACTORS` in each portrait, as read from its pixels.

        Parameters and errors are those of `features`.

        Returns
        -------
        dict[str, Tensor]
            (n,) for each factor: float32 in its unit, clamped to its range, or int64 for a class.
        """
        from hollow.quality import factors

        if self.network.head is None:
            raise ValueError(f"the network of {self.name} knows no factors; load the one of portraits")
        features = self.features(images, batch=batch).to(self.network.head.weight.device)
        with torch.no_grad():
            return factors.decode(self.network.head(features).cpu())


def check(images: Tensor) -> None:
    """Raise a ValueError unless images are floats in [-1, 1] of shape (n, 3, 64, 64)."""
    if images.ndim != 4 or images.shape[1:] != (3, 64, 64) or not len(images):
        raise ValueError(f"images have shape {tuple(images.shape)}; expected (n, 3, 64, 64) with n at least 1")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; expected floats in [-1, 1], as hollow.quality.unit makes them")
    lo, hi = (float(bound) for bound in images.aminmax())  # NaN where any value is
    if not (lo >= -1.0001 and hi <= 1.0001):
        raise ValueError(f"images range from {lo:.4g} to {hi:.4g}; expected finite values in [-1, 1]")


def where(folder: str | Path | None = None) -> Path:
    """Return where feature networks are looked for: `folder` if given, else those that travel with the package."""
    return Path(folder) if folder else shipped("features")


def load(name: str, folder: str | Path | None = None, *, device: str = "cpu") -> Features:
    """Return a trained feature network.

    Parameters
    ----------
    name : str
        "portraits" or "photographs".
    folder : path, optional
        Folder of weights and manifests; by default those that are shipped.
    device : str, keyword-only
        Where the network is put.

    Raises
    ------
    ValueError
        If there is no such network, with the command that makes it, or if its file is not the one that its
        manifest describes.
    """
    if name not in NAMES:
        raise ValueError(f"unknown feature network {name!r}; expected {' or '.join(NAMES)}")
    path = where(folder) / f"{name}.safetensors"
    make = f"hollow features {name}" + (" --images FOLDER_OR_ZIP" if name == "photographs" else "")
    mend = f"restore it or make it again: {make}"
    try:
        record = read_record(path.with_suffix(".json"))
        found = sha256(path)
    except FileNotFoundError as error:
        raise ValueError(f"there is no {error.filename}; {mend}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"feature network {path} cannot be read ({error}); {mend}") from error
    if found != record.get("sha256"):
        raise ValueError(f"{path} has SHA-256 {found[:12]}..., not that of its manifest; {mend}")
    try:
        tensors = {key: value.float() for key, value in load_file(path).items()}
        known = [key for key in tensors if key.startswith("reference.")]
        statistics = {key.split(".")[1]: tensors.pop(key) for key in known}
        network = Network(record["outputs"])
        network.load_state_dict(tensors)
        reference = Statistics(**statistics, n=record["n_images"]) if statistics else None
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not fit its manifest ({' '.join(str(error).split())}); {mend}") from error
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Features(name, network, record, reference)
