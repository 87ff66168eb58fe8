"""What the map costs beside the solvers of POT, as the number of points grows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from hollow.transport.discrete import costs, entropic, exact
from hollow.transport.fitting import fit


def seconds(
    sizes: Sequence[int] = (250, 500, 1000, 2000, 4000), *, dim: int = 16, steps: int = 1500, seed: int = 0,
    regularised: bool = True,
) -> dict[str, dict[int, float]]:  # fmt: skip
    """Return seconds by name and n: the exact plan, the entropic one, and the trained map applied to n points.

    The map is trained once, on 20,000 points; its seconds of training stand under "training", at n = 0. A plan is
    solved once; the map takes milliseconds, so its seconds are the median of several calls.
    """
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 20_000, dim, generator=g)
    y = y.sign() + 0.3 * y
    start = time.perf_counter()
    mapping = fit(x, y, steps=steps, generator=g)
    found: dict[str, dict[int, float]] = {"training": {0: time.perf_counter() - start}}
    ways = {"exact": lambda n: exact(x[:n], y[:n]), "map": lambda n: mapping(x[:n])}
    if regularised:
        reg = 0.1 * float(costs(x[:500], y[:500]).mean())
        ways["entropic"] = lambda n: entropic(x[:n], y[:n], reg)
    for name, run in ways.items():
        found[name] = {}
        for n in sizes:
            spent = []
            for _ in range(15 if name == "map" else 1):
                start = time.perf_counter()
                run(n)
                spent.append(time.perf_counter() - start)
            found[name][n] = statistics.median(spent)
    return found
