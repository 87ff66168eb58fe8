"""The comparison of chapter 14: rows for every way from N(0, I) to pictures, for digits and for faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hollow import autoencoders, quality
from hollow.digits import Digits
from hollow.transport.judges import Judge, Reader, faces, nearest, reader
from hollow.transport.judges import digits as digits_judge
from hollow.transport.potential import Potential
from hollow.transport.rivals import Rival, ways

MOST = 12_000  # digits or faces that are used
HELD = 4  # one in so many is held out
SHOWN = 10  # pictures of each way
Rows = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Study:
    """What one seed gives.

    Attributes
    ----------
    rows : dict
        Numbers by name, for each way: steps, seconds, those of the judge, and the distance of a code from the nearest
        known one, over that of held-out codes.
    pictures : dict
        Ten pictures of each way, from the same latents.
    decode : callable
        Codes (n, D) to pictures.
    transport : Potential
        The map from N(0, I) to codes.
    judge : callable
        Pictures to numbers.
    held : int
        How many pictures each row is about.
    reader : Reader or None
        The classifier of digits.
    known : quality.Statistics or None
        Of its features of the held-out digits.
    """

    rows: Rows
    pictures: dict[str, Tensor]
    decode: Callable[[Tensor], Tensor]
    transport: Potential
    judge: Judge
    held: int
    reader: Reader | None = None
    known: quality.Statistics | None = None


def of_digits(data: Digits, *, dim: int, fitting: int, steps: int, seed: int = 0) -> Study:
    """Train a plain and a variational autoencoder and a classifier on three quarters of the digits, and compare.

    Parameters
    ----------
    data : Digits
    dim : int, keyword-only
        Coordinates of a code.
    fitting, steps : int, keyword-only
        Updates of the autoencoders, and of whatever is trained in code space.
    seed : int, keyword-only
    """
    g = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.images), generator=g)[:MOST]
    rest, known = order[: len(order) // HELD], order[len(order) // HELD :]
    images, held = data.images[known], data.images[rest]
    plain, variational = (
        autoencoders.fit(
            autoencoders.Dense(images.shape[1], dim, variational=kind, generator=g), images, steps=fitting, generator=g,
            progress=False,
        )
        for kind in (False, True)
    )  # fmt: skip
    network = reader(images, data.labels[known], generator=g)
    judge = digits_judge(network, held)
    features = network.body(held)
    statistics = quality.Statistics(features.mean(0), torch.cov(features.T), len(features), features[:0])
    found = _compare(plain, variational.decode, images, held, judge, steps, g)
    return Study(*found, judge, len(held), network, statistics)


def of_faces(
    name: str, images: Tensor, *, steps: int, seed: int = 0, vae: autoencoders.Shipped | None = None
) -> Study:
    """Compare on a shipped autoencoder, "portraits" or "photographs", with uint8 or float images (n, 3, 64, 64)."""
    g = torch.Generator().manual_seed(seed)
    model, network = autoencoders.load(name), quality.load(name)
    held, images = images[: len(images) // HELD], images[len(images) // HELD :]
    own = network.features(held if held.is_floating_point() else quality.unit(held))
    judge = faces(network, own, own)
    found = _compare(model, None if vae is None else vae.decode, images, held, judge, steps, g)
    return Study(*found, judge, len(held))


def _compare(
    model: autoencoders.Autoencoder | autoencoders.Shipped, vae: Callable[[Tensor], Tensor] | None, images: Tensor,
    held: Tensor, judge: Judge, steps: int, generator: torch.Generator,
) -> tuple[Rows, dict[str, Tensor], Callable[[Tensor], Tensor], Potential]:  # fmt: skip
    codes, held_codes = model.encode(images), model.encode(held)
    made = ways(codes, steps=steps, generator=generator)
    z = torch.randn(len(held), codes.shape[1], generator=generator)
    usual = nearest(held_codes, codes)
    rows: Rows = {}
    pictures: dict[str, Tensor] = {}
    nothing = Rival(lambda z: z, 0, 0.0)
    every = {"held-out codes": (nothing, held_codes), **{name: (made[name], made[name].map(z)) for name in made}}
    for name, (rival, at) in every.items():
        drawn = model.decode(at)
        novelty = nearest(at, codes) / usual
        rows[name] = {"steps": rival.steps, "seconds": rival.seconds, **judge(drawn), "novelty": novelty}
        pictures[name] = drawn[:SHOWN]
    if vae is not None:
        drawn = vae(z)
        rows["VAE"], pictures["VAE"] = judge(drawn), drawn[:SHOWN]
    transport = made["transport"].map
    assert isinstance(transport, Potential)
    return rows, pictures, model.decode, transport
