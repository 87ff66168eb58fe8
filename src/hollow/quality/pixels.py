"""Numbers for piles of pictures, from their pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(images: Tensor) -> Tensor:
    """Return uint8 images as floats in [-1, 1]."""
    return images.float().div(127.5).sub(1)


def between(images: Tensor, data: Tensor) -> float:
    r"""Return the mean distance :math:`E|X - Y|` of an image of `images` and one of `data`.

    The distance is the root mean square difference over all pixels and colours; both are (n, 3, height, width), or
    features (n, d).
    """
    x, y = images.flatten(1).double(), data.flatten(1).double()
    centre = y.mean(0)  # distances come from products of vectors, which lose digits far from the origin
    return float(torch.cdist(x - centre, y - centre).mean()) / x.shape[1] ** 0.5


def spread(images: Tensor) -> float:
    r"""Return the mean distance :math:`E|X - X'|` of two different images, as in `between`, of at least two."""
    n = len(images)
    if n < 2:
        raise ValueError(f"{n} images have no distance from each other; expected at least 2")
    return between(images, images) * n / (n - 1)


def saturation(images: Tensor) -> float:
    """Return the fraction of values of images in [-1, 1] that are beyond 0.98 in absolute value."""
    return float((images.abs() > 0.98).float().mean())


def contrast(images: Tensor) -> float:
    """Return the mean over images (n, ...) in [-1, 1] of the standard deviation of the values of one image."""
    return float(images.flatten(1).std(1, correction=0).mean())


def colour_saturation(images: Tensor) -> float:
    """Return the mean over pixels of half the difference of the largest and the smallest of the three colours.

    Images (n, 3, height, width) in [-1, 1]; 0 for grey ones, 1 for pure colours. It is the chroma of the model HSV.
    """
    return float((images.amax(1) - images.amin(1)).mean()) / 2


def compare(images: Tensor, data: Tensor, *, data_spread: float | None = None) -> dict[str, float]:
    r"""Compare generated images with images of the data, both in [-1, 1].

    `data_spread` saves time where `spread(data)` is known.

    Returns
    -------
    dict
        "diversity": the spread of the images over that of the data, :math:`E|X - X'| / E|Y - Y'|`; 0 for a collapsed
        generator. "energy": the energy distance :math:`2 E|X - Y| - E|X - X'| - E|Y - Y'|` over the data's spread,
        without bias, 0 in the mean if and only if the laws agree (Szekely and Rizzo 2013). "saturation".
    """
    own, theirs = spread(images), spread(data) if data_spread is None else data_spread
    energy = (2 * between(images, data) - own - theirs) / theirs
    return {"diversity": own / theirs, "energy": energy, "saturation": saturation(images)}
