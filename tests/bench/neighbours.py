"""Geodesics together, one by one and by a public library; the map of transport against exact plans."""

from __future__ import annotations

import importlib.util

import torch
from timing import interleaved, seconds
from torch import Tensor, nn

from hollow import geometry
from hollow.transport import scaling


def smooth_decoder(generator: torch.Generator) -> nn.Module:
    """Two latents to 784 outputs by hyperbolic tangents, at random."""
    layers: list[nn.Module] = []
    for n_in, n_out in ((2, 64), (64, 128), (128, 784)):
        linear = nn.Linear(n_in, n_out)
        nn.init.normal_(linear.weight, 0, 1.5 / n_in**0.5, generator=generator)
        nn.init.normal_(linear.bias, 0, 0.3, generator=generator)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid()).requires_grad_(False)


def geodesics(n: int = 64, few: int = 8) -> dict[str, float]:
    """Splines of eight knots between random latents, to the same tolerance."""
    generator = torch.Generator().manual_seed(0)
    decoder = smooth_decoder(generator)
    z0, z1 = 1.5 * torch.randn(2, n, 2, generator=generator)
    metric = geometry.PullBack(decoder)

    def ours(a: Tensor, b: Tensor) -> Tensor:
        return geometry.by_energy(metric, a, b, knots=8, segments=32, tolerance=1e-5, quiet=True).length

    times = interleaved(
        {"together": lambda: ours(z0, z1), "one by one": lambda: [ours(z0[i], z1[i]) for i in range(few)]}, 1, 3
    )
    found = {
        "geodesics/s": n / times["together"],
        "geodesics/s, one by one": few / times["one by one"],
        "ratio to one by one": n * times["one by one"] / (few * times["together"]),
    }
    if importlib.util.find_spec("stochman"):
        lengths, spent = stochman(decoder, metric, z0, z1)
        found |= {"geodesics/s, stochman": n / spent, "ratio to stochman": spent / times["together"]}
        found |= {"its mean length over ours": float(lengths.mean() / ours(z0, z1).mean())}
    return found


def stochman(decoder: nn.Module, metric: geometry.Metric, z0: Tensor, z1: Tensor) -> tuple[Tensor, float]:
    """Return the lengths of stochman's splines of as many knots, and its seconds."""
    from stochman.curves import CubicSpline
    from stochman.geodesic import geodesic_minimizing_energy
    from stochman.manifold import EmbeddedManifold

    class Embedded(EmbeddedManifold):
        def embed(self, points: Tensor, jacobian: bool = False) -> Tensor:
            return decoder(points)

    curve = CubicSpline(z0, z1, num_nodes=10)
    spent = seconds(lambda: geodesic_minimizing_energy(curve, Embedded(), eval_grid=33))
    with torch.no_grad():
        points = curve(torch.linspace(0, 1, 257))  # (n, T, 2)
    return metric.length(points.transpose(0, 1)), spent


def mapping() -> dict[str, float]:
    """The trained map on n points, its training apart, against the exact plan of POT for them."""
    times = scaling.seconds((250, 1000, 4000), regularised=False)
    found = {"training the map, s": times["training"][0]}
    for n, spent in times["exact"].items():
        found |= {f"the map, {n} points, ms": 1000 * times["map"][n], f"exact, {n} points, ms": 1000 * spent}
        found[f"exact over the map, {n} points"] = spent / times["map"][n]
    return found
