"""Features of photographs without labels, by VICReg (Bardes, Ponce and LeCun 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hollow.learning import Task, stream
from hollow.quality.network import DIM, Network
from hollow.quality.pixels import unit

BATCH = 128  # pairs of views
WIDTH = 256  # of the expander, which is dropped after training
SHARE = 5  # one image in SHARE is held out, at the end


def views(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random view of each image: a crop of 60 to 100 % of the side, mirrored or not, other light and tint.

    Neither blur nor noise nor occlusion: features must see what a bad generator does.
    """
    n = len(images)

    def draw(lo: float, hi: float, *shape: int) -> Tensor:
        return lo + (hi - lo) * torch.rand(n, *shape, generator=generator)

    side = draw(0.6, 1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = side * torch.where(draw(0, 1) < 0.5, -1, 1)
    theta[:, 1, 1] = side
    theta[:, :, 2] = draw(-1, 1, 2) * (1 - side)[:, None]
    crop = F.grid_sample(images, F.affine_grid(theta, list(images.shape), False), "bilinear", "border", False)
    light, tint = draw(-0.2, 0.2, 1, 1, 1), draw(-0.1, 0.1, 3, 1, 1)
    return (crop * draw(0.8, 1.2, 1, 1, 1) + light + tint).clamp_(-1, 1)


def vicreg(x: Tensor, y: Tensor) -> Tensor:
    r"""Return :math:`25\,s(x, y) + 12.5\,[v(x) + v(y)] + c(x) + c(y)` for embeddings (n, d) of two views.

    s is the mean squared difference, v the mean over columns of :math:`\max(0, 1 - \sigma_j)`, and c the sum of squared
    covariances of different columns over d: Bardes, Ponce and LeCun (2022), weighted as in their code.
    """
    n, d = x.shape
    total = 25 * F.mse_loss(x, y)
    for z in (x, y):
        z = z - z.mean(0)
        covariance = z.T @ z / (n - 1)
        spread = (covariance.diagonal() + 1e-4).sqrt()
        total = total + 25 * F.relu(1 - spread).mean() / 2
        total = total + (covariance.square().sum() - covariance.diagonal().square().sum()) / d
    return total


class Photographs(Task):
    """Two views of one photograph should have the same features, which vary and do not repeat one another."""

    name = "photographs"
    rate = 2e-3
    network: Network

    def __init__(self, images: Tensor, source: str = "", seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Network()
            self.expander = nn.Sequential(
                nn.Linear(DIM, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
            )
        self.images, self.source, self.seed = images, source, seed
        self.known = len(images) - len(images) // SHARE

    def batch(self, step: int) -> Tensor:
        """Return two views of each of BATCH photographs, the first views first."""
        generator = torch.Generator().manual_seed(stream(self.seed, step))
        chosen = torch.randint(self.known, (BATCH,), generator=generator)
        images = unit(self.images[chosen])
        return torch.cat([views(images, generator), views(images, generator)])

    def forward(self, batch: Tensor) -> Tensor:
        x, y = self.expander(self.network(batch)).chunk(2)
        return vicreg(x, y)

    @torch.no_grad()
    def whiten(self) -> None:
        """Read the leading principal components of the averaged maps instead, each with variance 1 over photographs.

        The trained readout forgets what two views do not share. The maps before it know more (Chen et al. 2020, section
        4.2), and what varies little among real images tells them from others, once it counts like the rest.
        """
        self.eval()
        network, maps = self.network, []
        pool, linear = network.readout[:2], network.readout[2]
        assert isinstance(linear, nn.Linear)
        for start in range(0, self.known, 256):
            pixels = unit(self.images[start : min(start + 256, self.known)])
            maps.append(pool(network.body(pixels.contiguous(memory_format=torch.channels_last))))
        x = torch.cat(maps).double()
        mean = x.mean(0)
        values, vectors = torch.linalg.eigh((x - mean).T.cov())
        components = vectors[:, -DIM:] / values[-DIM:].sqrt()
        linear.weight.copy_(components.T)
        linear.bias.copy_(-mean @ components)
        network.standard.reset_running_stats()

    def facts(self) -> dict[str, Any]:
        return {"images": self.source, "n_images": self.known, "batch": BATCH, "seed": self.seed}
