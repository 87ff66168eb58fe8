"""Features of Inception v3, from a file of weights that the reader has: then the Frechet distance is called FID."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hollow.files import sha256
from hollow.quality.network import check

FILE = "inception_v3_google-0cc3c7bd.pth"  # torchvision ends a name with the first digits of the file's SHA-256
DIM = 2048
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Inception:
    """Inception v3 without its last layer, and the SHA-256 of its weights."""

    network: nn.Module
    sha256: str

    @torch.no_grad()
    def features(self, images: Tensor, *, batch: int = 32) -> Tensor:
        """Return features (n, 2048) of images (n, 3, 64, 64) in [-1, 1]; a ValueError says what is wrong with images.

        Images are resized to 299 x 299 with an antialiased bilinear filter and normalised as in training.
        """
        check(images)
        first = next(self.network.parameters())
        mean, std = (torch.tensor(value, device=first.device)[:, None, None] for value in (_MEAN, _STD))

        def prepared(part: Tensor) -> Tensor:
            part = part.to(first.device, torch.float32) / 2 + 0.5
            return (F.interpolate(part, (299, 299), mode="bilinear", antialias=True) - mean) / std

        return torch.cat([self.network(prepared(part)).cpu() for part in images.split(batch)])


def load(weights: str | Path, *, device: str = "cpu", any_weights: bool = False) -> Inception:
    """Return Inception v3 with the weights of a file, trained on ImageNet.

    The Frechet distance of these features is an FID. Papers mostly use another conversion of the network (of 2015, with
    other poolings), so its values are comparable with each other and not with theirs.

    Parameters
    ----------
    weights : path
        torchvision's `inception_v3_google-0cc3c7bd.pth`. It is read without running any code in it.
    device : str, keyword-only
        Where the network is put.
    any_weights : bool, keyword-only
        Accept another file of weights of the same network, too.

    Raises
    ------
    ValueError
        If the file is missing, damaged, another one, or does not fit the network.
    """
    from torchvision.models import inception_v3

    path = Path(weights).expanduser()
    mend = f"give torchvision's {FILE}"
    try:
        digest = sha256(path)
    except OSError as error:
        raise ValueError(f"no weights of Inception at {path} ({error.strerror}); {mend}") from None
    if not any_weights and not FILE.endswith(f"-{digest[:8]}.pth"):
        raise ValueError(f"{path} has SHA-256 {digest[:12]}..., not {FILE[-12:-4]}...; {mend}")
    network = inception_v3(weights=None, init_weights=False, aux_logits=True)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, TypeError, ValueError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]  # torch says a line for each layer
        raise ValueError(f"{path} does not hold weights of Inception v3 ({said}); {mend}") from error
    network.fc = nn.Identity()
    return Inception(network.eval().requires_grad_(False).to(device), digest)
