"""Geodesics together, one at a time, and by a public library; the transport map beside the solvers of POT."""

import math
from collections.abc import Callable, Sequence
from importlib import metadata

import torch
from stochman.curves import CubicSpline
from stochman.geodesic import geodesic_minimizing_energy
from stochman.manifold import EmbeddedManifold
from timing import interleaved
from torch import Tensor

from hollow import digits, oddity
from hollow.geometry import GaussianDecoder, Geodesics, PullBack, by_boundary, by_energy
from hollow.transport import scaling

SMALL = oddity.Sizes(train=440, held_out=80, codes=440, steps=500, hidden=(64, 32), centres=32)
KNOTS, SECANTS = 8, 32  # free values of a curve and steps of its energy, in both libraries


def decoder(sizes: oddity.Sizes = SMALL) -> tuple[PullBack, PullBack, Tensor]:
    """Train a decoder of 64 pixels on the bundled digits; return its expected metric, that of its mean, and codes.

    All in float64, so that a curve does not depend on the curves beside it.
    """
    trained = oddity.train(digits.load("embedded"), oddity.TRIPLES[0], sizes, seed=0)
    precision, mean = trained.precision(oddity.WIDE).double(), trained.network.double().requires_grad_(False)
    return PullBack(GaussianDecoder(mean.decode, precision)), PullBack(mean.decode), trained.codes.double()


def shipped() -> tuple[PullBack, Tensor]:
    """Return the expected metric of the shipped decoder of MNIST's 784 pixels, and codes, in float64."""
    metric, codes, _ = oddity.load_shipped()
    metric.decoder.double()
    metric.decoder.mean.__self__.double()  # the network whose method it is
    return metric, codes.double()


def pairs(codes: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return n pairs of codes."""
    rows = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))[: 2 * n]
    first, last = codes[rows].chunk(2)
    return first, last


def together(
    metric: PullBack, codes: Tensor, n: int = 32, rounds: int = 3, solve: Callable[..., Geodesics] = by_energy,
    **options: object,
) -> dict[str, float]:  # fmt: skip
    """Solve n geodesics in one batch and one after the other, and compare what they find."""
    ends, found = pairs(codes, n), {}

    def batch() -> None:
        found["together"] = [solve(metric, *ends, quiet=True, **options)]

    def single() -> None:
        rows = zip(*(z.split(1) for z in ends), strict=True)
        found["one at a time"] = [solve(metric, *row, quiet=True, **options) for row in rows]

    times = interleaved({"together": batch, "one at a time": single}, 1, rounds)
    ours, alone = (
        (torch.cat([curves.length for curves in found[way]]), torch.cat([curves.converged for curves in found[way]]))
        for way in ("together", "one at a time")
    )
    both = ours[1] & alone[1]
    return {
        "ratio to one at a time": times["one at a time"] / times["together"],
        "together, geodesics/s": n / times["together"],
        "one at a time, geodesics/s": n / times["one at a time"],
        "share that converged": float(ours[1].double().mean()),
        "share of verdicts alike": float((ours[1] == alone[1]).double().mean()),
        "largest relative difference of lengths": float((ours[0] / alone[0] - 1)[both].abs().max()),
    }


def against(
    metric: PullBack, codes: Tensor, n: int = 32, rounds: int = 2, steps: Sequence[int] = (150, 1000)
) -> dict[str, float]:
    """Compare with stochman on one decoder: as many free values and secants, the same start, all curves at once.

    Its Adam takes as many steps as it is given (150 by default) unless the gradient gets small; ours stops by its
    tolerance. So seconds say nothing without the lengths that were reached, measured alike on 257 points.
    """
    class Decoded(EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Tensor:
            return metric.decode(points.flatten(0, -2)).unflatten(0, points.shape[:-1])

    z0, z1 = pairs(codes, n)
    lengths: dict[str, Tensor] = {}

    def ours() -> None:
        lengths["ours"] = by_energy(metric, z0, z1, knots=KNOTS, segments=SECANTS, quiet=True).length

    def theirs(most: int) -> None:
        curve = CubicSpline(z0, z1, num_nodes=KNOTS)
        geodesic_minimizing_energy(curve, Decoded(), max_iter=most, eval_grid=SECANTS + 1)
        with torch.no_grad():
            points = curve(torch.linspace(0, 1, 257, dtype=z0.dtype)).movedim(-2, 0)
        lengths[f"{most} steps"] = metric.length(points)

    works = {f"{most} steps": lambda most=most: theirs(most) for most in steps}
    times = interleaved({"ours": ours, **works}, 1, rounds)
    figures = {"ours, geodesics/s": n / times["ours"]}
    for name in works:
        over = lengths[name] / lengths["ours"] - 1
        figures |= {
            f"its {name}: ratio of seconds": times[name] / times["ours"],
            f"its {name}: mean length over ours, less 1": float(over.mean()),
            f"its {name}: largest length over ours, less 1": float(over.max()),
        }
    return figures


def transport(sizes: Sequence[int] = (250, 1000, 4000), steps: int = 1500) -> dict[str, float]:
    """Compare the trained map with plans of POT for the same points; a first small size warms up and is not counted."""
    found = scaling.seconds((50, *sizes), steps=steps)
    training, last = found["training"][0], sizes[-1]
    figures = {
        f"{way} plan over map, {n:,} points": found[way][n] / found["map"][n]
        for way in ("exact", "entropic")
        for n in sizes
    }
    for way in ("exact", "entropic", "map"):
        grown = found[way][last] / found[way][sizes[0]]
        figures[f"{way}: exponent of n"] = math.log(grown) / math.log(last / sizes[0])
    return figures | {
        f"exact plan, {last:,} points, s": found["exact"][last],
        f"map, {last:,} points, s": found["map"][last],
        "training of the map, s": training,
        f"training over an exact plan of {last:,} points": training / found["exact"][last],
    }


def benches() -> dict[str, Callable[[], dict[str, float]]]:
    """Return what is measured here, by name."""

    def boundary() -> dict[str, float]:
        _, mean, codes = decoder()
        return together(mean, codes, rounds=1, solve=by_boundary, nodes=(32, 64))

    def public() -> dict[str, float]:
        metric, _, codes = decoder()
        return against(metric, codes)

    def small() -> dict[str, float]:
        metric, _, codes = decoder()
        return together(metric, codes)

    return {
        "geodesics by energy, 64 pixels": small,
        "geodesics by energy, 784 pixels": lambda: together(*shipped(), n=16, rounds=1),
        "geodesics by boundary values, 64 pixels": boundary,
        f"geodesics against stochman {metadata.version('stochman')}": public,
        "transport map": transport,
    }
