"""Images side by side in one picture, and in a PNG file."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from hollow.files import atomic

BORDER = 2  # white pixels between images, and around them


def mosaic(images: Tensor, columns: int) -> Tensor:
    """Return one picture of the `images` in rows of `columns`, uint8 of shape (H, W, 3).

    `images` is uint8, or float in [-1, 1], of shape (n, 3, height, width). torchvision's `make_grid` draws the same
    picture, but its import takes longer than torch's own.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images of shape {tuple(images.shape)}; expected (n, 3, height, width)")
    if images.dtype != torch.uint8:
        images = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    n, _, height, width = images.shape
    rows, columns = -(-n // columns), min(n, columns)
    picture = torch.full((rows * (height + BORDER) + BORDER, columns * (width + BORDER) + BORDER, 3), 255).byte()
    for i, image in enumerate(images.permute(0, 2, 3, 1).cpu()):
        top, left = BORDER + i // columns * (height + BORDER), BORDER + i % columns * (width + BORDER)
        picture[top : top + height, left : left + width] = image
    return picture


def save(images: Tensor, path: str | Path, columns: int = 8) -> None:
    """Write the mosaic of `images` to the PNG file `path`, whole or not at all."""
    picture = Image.fromarray(mosaic(images, columns).numpy())
    with atomic(path) as part:
        picture.save(part, "PNG")
