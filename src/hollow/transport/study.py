"""The comparison of chapter 14: rows for every way from N(0, I) to pictures, for digits and for faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hollow import autoencoders, quality
from hollow.digits import Digits
from hollow.transport.judges import Judge, Reader, faces, nearest, reader
from hollow.transport.judges import digits as digits_judge
from hollow.transport.potential import Potential
from hollow.transport.rivals import Rival, ways

MOST = 12_000  # digits that are used
HELD = 4  # one in so many is held out
WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0)  # of a VAE, to choose from
SHOWN = 10  # pictures of each way
Rows = dict[str, dict[str, float]]
Vae = tuple[float, Callable[[Tensor], Tensor]]  # weight, and latents to pictures


@dataclass(frozen=True)
class Study:
    """What one seed gives.

    Attributes
    ----------
    rows : dict
        Numbers by name, for each way: steps, seconds, those of the judge, and the distance of a code from the nearest
        known one, over that of held-out codes. Of a VAE its weight and those of the judge.
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


def of_digits(
    data: Digits, *, dim: int, fitting: int, steps: int, seed: int = 0, weights: Sequence[float] = WEIGHTS
) -> Study:
    """Train a plain and two variational autoencoders and a classifier on three quarters of the digits, and compare.

    "VAE" has the best variance. "chosen VAE" has one of `weights`, see `choose`; no held-out digit takes part in that.

    Parameters
    ----------
    data : Digits
    dim : int, keyword-only
        Coordinates of a code.
    fitting, steps : int, keyword-only
        Updates of the autoencoders, and of whatever is trained in code space.
    seed : int, keyword-only
    weights : sequence of float, keyword-only
        Of the chosen VAE, to choose from.
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
    weight, tuned = choose(images, network, weights, dim=dim, fitting=fitting, seed=seed)
    vaes: dict[str, Vae] = {"VAE": (1.0, variational.decode), "chosen VAE": (weight, tuned.decode)}
    found = _compare(plain, vaes, images, held, judge, steps, g)
    return Study(*found, judge, len(held), network, statistics)


def choose(
    images: Tensor, network: Reader, weights: Sequence[float], *, dim: int, fitting: int, seed: int = 0
) -> tuple[float, autoencoders.Autoencoder]:
    """Return the best weight of a VAE, and the VAE with it, trained on all of the digits (n, pixels).

    A quarter of the digits is kept apart. A VAE of each weight is trained on the others, and that with the least
    Frechet distance of as many of its draws from that quarter is the best.
    """
    apart, others = images[: len(images) // HELD], images[len(images) // HELD :]
    judge = digits_judge(network, apart)

    def trained(weight: float, on: Tensor) -> autoencoders.Autoencoder:
        g = torch.Generator().manual_seed(seed)
        vae = autoencoders.Dense(images.shape[1], dim, variational=True, weight=weight, generator=g)
        return autoencoders.fit(vae, on, steps=fitting, generator=g, progress=False)

    def distance(weight: float) -> float:
        z = torch.randn(len(apart), dim, generator=torch.Generator().manual_seed(seed))
        drawn = trained(weight, others).decode(z)
        try:
            return judge(drawn)["frechet"]
        except ValueError:  # a weight so large that all pictures are alike
            return float("inf")

    best = min(weights, key=distance)
    return best, trained(best, images)


def of_faces(
    name: str, images: Tensor, *, steps: int, seed: int = 0, vae: autoencoders.Shipped | None = None
) -> Study:
    """Compare on a shipped autoencoder, "portraits" or "photographs", with uint8 or float images (n, 3, 64, 64).

    Photographs are those of `images.load`, in its order: the autoencoder and the judge were trained on the first of
    them, so that the others are held out, and codes are taken from three times as many of the first. Where there are
    no others, and of portraits, which are none that a network was trained on, the last quarter is held out.
    """
    g = torch.Generator().manual_seed(seed)
    model, network = autoencoders.load(name), quality.load(name)
    seen = model.manifest["n_images"] if name == "photographs" else 0
    if not 0 < seen < len(images):
        seen = len(images) - len(images) // HELD
    held = images[seen:]
    images = images[torch.randperm(seen, generator=g)[: (HELD - 1) * len(held)]]
    own = network.features(held if held.is_floating_point() else quality.unit(held))
    judge = faces(network, own, own)
    vaes: dict[str, Vae] = {} if vae is None else {"VAE": (1.0, vae.decode)}
    found = _compare(model, vaes, images, held, judge, steps, g)
    return Study(*found, judge, len(held))


def _compare(
    model: autoencoders.Autoencoder | autoencoders.Shipped, vaes: dict[str, Vae],
    images: Tensor, held: Tensor, judge: Judge, steps: int, generator: torch.Generator,
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
    for name, (weight, decode) in vaes.items():
        drawn = decode(z)
        rows[name], pictures[name] = {"weight": weight, **judge(drawn)}, drawn[:SHOWN]
    transport = made["transport"].map
    assert isinstance(transport, Potential)
    return rows, pictures, model.decode, transport
