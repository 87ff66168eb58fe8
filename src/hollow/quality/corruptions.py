"""Ways to spoil images by a known amount, on which a metric is calibrated: more of it must read as worse."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def blur(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Return images smoothed by a normal law whose standard deviation is 4 `strength` pixels."""
    if strength == 0:
        return images
    sigma, reach = 4 * strength, max(1, round(12 * strength))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).to(images)
    padded = F.pad(images, [reach] * 4, mode="reflect").flatten(0, 1)[:, None]
    smooth = F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return smooth.view_as(images).clamp(-1, 1)


def noise(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Return images with normal noise of standard deviation `strength` in each value, clamped to [-1, 1]."""
    return (images + strength * torch.randn(images.shape, generator=generator).to(images)).clamp(-1, 1)


def occlusion(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Return images with a grey square at a random place, `strength` of the side long."""
    side = images.shape[-1]
    length = round(strength * side)
    corner = (torch.rand(len(images), 2, generator=generator) * (side - length + 1)).long()
    axis = torch.arange(side)
    rows, columns = ((axis >= c[:, None]) & (axis < c[:, None] + length) for c in corner.T)
    hidden = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    return images.masked_fill(hidden, 0)


def tint(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Return images with red raised and blue lowered by `strength`, clamped to [-1, 1]."""
    shift = images.new_tensor([strength, 0, -strength])[:, None, None]
    return (images + shift).clamp(-1, 1)


CORRUPTIONS: dict[str, Callable[[Tensor, float, torch.Generator | None], Tensor]] = {
    "blur": blur, "noise": noise, "occlusion": occlusion, "tint": tint,
}  # fmt: skip
