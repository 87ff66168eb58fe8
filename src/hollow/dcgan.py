"""Generator and discriminator of Appendix A (Lesniak et al. 2018), with free width and latent dimension."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

SIZE = 64  # side of an image in pixels
SLOPE = 0.2  # of the leaky ReLU; Appendix A does not give it, this is the value of Radford et al. (2015)
FC_LAYERS = (512, 256, 64)  # hidden layers of the fully connected generator; the last has 64 units
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, SLOPE),
    "tanh": nn.Tanh,
}


class Generator(nn.Module):
    r"""Map latents to images: :math:`G(z) = \tanh(h(z))`, with `h` made of affine maps and ReLU only.

    Architecture "conv": a linear layer to 4 x 4 x 8 `width`, then four transposed convolutions (5 x 5, stride 2)
    with 4, 2, 1 times `width` and 3 filters. No batch normalisation. At width 64 and D = 100 it has 5,133,443
    parameters. Architecture "fc": linear layers of 512, 256 and 64 units, then one to all pixels.

    Parameters
    ----------
    dim : int
        Latent dimension D.
    width : int, keyword-only
        Filters of the last hidden layer ("conv" only); the paper's is 64.
    arch : {"conv", "fc"}, keyword-only
    bias : bool, keyword-only
        Without biases `h` is positively homogeneous, :math:`h(s z) = s\,h(z)` for s >= 0.
    depth : int, keyword-only
        Transposed convolutions ("conv" only), 1 to 5; the first layer maps to a square of side 64 / 2^depth, and
        no layer has more than 8 `width` filters.
    activation : {"relu", "leaky_relu", "tanh"}, keyword-only
        Behind each hidden layer; not the paper's unless "relu".
    norm : bool, keyword-only
        Batch normalisation before each activation (Radford et al. 2015); the paper has none.

    Notes
    -----
    Source: Appendix A and Figure 7c of the paper; chapter 07 shows it, chapter 13 compares its variants.
    """

    def __init__(
        self,
        dim: int = 100,
        *,
        width: int = 64,
        arch: str = "conv",
        bias: bool = True,
        depth: int = 4,
        activation: str = "relu",
        norm: bool = False,
    ) -> None:
        super().__init__()
        if dim < 1 or width < 1:
            raise ValueError(f"generator with dim={dim}, width={width}; expected both to be at least 1")
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; expected {', '.join(ACTIVATIONS)}")
        self.dim, self.width, self.arch = dim, width, arch
        layers: list[nn.Module]
        if arch == "conv":
            if not 1 <= depth <= 5:
                raise ValueError(f"generator with depth={depth}; expected 1 to 5 transposed convolutions")
            side = SIZE >> depth
            channels = [*(min(2**k, 8) * width for k in reversed(range(depth))), 3]
            layers = [nn.Linear(dim, channels[0] * side**2, bias=bias), nn.Unflatten(1, (channels[0], side, side))]
            for n_in, n_out in itertools.pairwise(channels):
                layers += [nn.BatchNorm2d(n_in)] if norm else []
                layers += [ACTIVATIONS[activation](), nn.ConvTranspose2d(n_in, n_out, 5, 2, 2, 1, bias=bias)]
        elif arch == "fc":
            sizes = [dim, *FC_LAYERS]
            layers = []
            for n_in, n_out in itertools.pairwise(sizes):
                layers += [nn.Linear(n_in, n_out, bias=bias)]
                layers += [nn.BatchNorm1d(n_out)] if norm else []
                layers += [ACTIVATIONS[activation]()]
            layers += [nn.Linear(sizes[-1], 3 * SIZE * SIZE, bias=bias), nn.Unflatten(1, (3, SIZE, SIZE))]
        else:
            raise ValueError(f"unknown architecture {arch!r}; expected conv or fc")
        self.layers = nn.Sequential(*layers)

    def pre_tanh(self, z: Tensor) -> Tensor:
        """Return h(z), the image before the tanh, shape (n, 3, 64, 64) for `z` of shape (n, D)."""
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise ValueError(f"latents of shape {tuple(z.shape)}; this generator takes (n, {self.dim})")
        return self.layers(z)

    def forward(self, z: Tensor) -> Tensor:
        """Return images in [-1, 1], shape (n, 3, 64, 64), for latents `z` of shape (n, D)."""
        return torch.tanh(self.pre_tanh(z))


class Discriminator(nn.Module):
    """Score images: the generator mirrored, with leaky ReLU; positive means "real".

    At width 64 "conv" has 4,314,753 parameters. "fc" has linear layers of 64, 256 and 512 units whatever the width.
    Source: Appendix A of the paper.
    """

    def __init__(self, *, width: int = 64, arch: str = "conv") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if arch == "conv":
            channels = [3, width, 2 * width, 4 * width, 8 * width]
            for n_in, n_out in itertools.pairwise(channels):
                layers += [nn.Conv2d(n_in, n_out, 5, 2, 2), nn.LeakyReLU(SLOPE, inplace=True)]
            layers += [nn.Flatten(), nn.Linear(16 * channels[-1], 1)]
        elif arch == "fc":
            sizes = [3 * SIZE * SIZE, *reversed(FC_LAYERS)]
            layers.append(nn.Flatten())
            for n_in, n_out in itertools.pairwise(sizes):
                layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(SLOPE, inplace=True)]
            layers.append(nn.Linear(sizes[-1], 1))
        else:
            raise ValueError(f"unknown architecture {arch!r}; expected conv or fc")
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (n,) for images of shape (n, 3, 64, 64)."""
        return self.layers(x).squeeze(1)


def init_normal(network: nn.Module, generator: torch.Generator, std: float = 0.02) -> None:
    """Draw each weight from N(0, std^2) and set biases to zero (Radford et al. 2015)."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            _fill(layer, std, generator)


def init_he(
    network: nn.Module, generator: torch.Generator, *, median_norm: float | None = None, last_gain: float = 1.0
) -> None:
    r"""Draw weights so that activations keep their scale (He et al. 2015) and set biases to zero.

    The standard deviation is :math:`\sqrt{2 / \text{fan-in}}`; a stride-2 transposed 5 x 5 convolution feeds a
    pixel from a quarter of its taps, so its fan-in is in_channels * 25 / 4. The last layer has no ReLU behind it
    and takes gain `last_gain`: 1 by default, less for a fully connected generator, whose pixels would start as
    independent noise, which training does not undo before the discriminator has won. With `median_norm`, the first
    linear layer takes :math:`\sqrt{2} / \text{median}\,\|z\|`, which is He's rule for the normal prior and keeps a
    heavy-tailed prior from saturating the network.
    """
    weighted = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    for i, layer in enumerate(weighted):
        gain = last_gain if i == len(weighted) - 1 else math.sqrt(2)
        if isinstance(layer, nn.ConvTranspose2d):
            fan_in = layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
        else:
            fan_in = layer.weight[0].numel()
        std = gain / math.sqrt(fan_in)
        if i == 0 and median_norm is not None:
            std = math.sqrt(2) / median_norm
        _fill(layer, std, generator)


@torch.no_grad()
def _fill(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, std: float, generator: torch.Generator) -> None:
    layer.weight.normal_(0, std, generator=generator)
    if layer.bias is not None:
        layer.bias.zero_()
