"""k-means with the distances of a metric, and how well clusters match labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import f1_score
from torch import Tensor

from hollow.geometry.energy import by_energy
from hollow.geometry.graph import Graph
from hollow.geometry.metric import Metric
from hollow.prior import check, is_whole

# For thousands of geodesics: more steps take ten times as long and change the mean squared distance by a thousandth.
ROUGH: dict[str, Any] = {"knots": 6, "segments": 24, "steps": 20, "tolerance": 1e-4, "quiet": True}


@dataclass(frozen=True)
class Clusters:
    """What `kmeans` found.

    Attributes
    ----------
    centres : Tensor, shape (k, D)
    labels : Tensor of int, shape (n,)
    spread : float
        Mean squared distance of a code to its centre.
    moves : int
        Codes that changed their cluster in the last step by geodesics; 0 when it has settled.
    """

    centres: Tensor
    labels: Tensor
    spread: float
    moves: int


def kmeans(
    metric: Metric,
    codes: Tensor,
    k: int,
    *,
    graph: Graph | None = None,
    refine: int = 2,
    starts: int = 10,
    generator: torch.Generator | None = None,
) -> Clusters:
    """Cluster codes (n, D) around k centres by squared distances under a metric.

    First k-medoids on a graph, from several starts (k-means++) until nothing changes: there all distances are known at
    once, and a centre is the node with the least sum. Then `refine` steps of Lloyd's algorithm with geodesics: a centre
    moves to the Karcher mean of its codes, downhill along the mean of their logarithms. No geodesic is solved to a
    centre that is half as far again on the graph as the nearest.

    Parameters
    ----------
    metric, codes, k
    graph : Graph, keyword-only
        By default one through the codes; a graph with a grid besides has shorter paths.
    refine, starts : int, keyword-only
    generator : torch.Generator, keyword-only
        Of the starts.

    Raises
    ------
    ValueError
        If there are fewer codes than clusters, or the metric is singular.
    """
    metric.check(codes)
    check(is_whole(k) and k >= 1, f"k is {k!r}; expected a positive number of clusters")
    check(is_whole(starts) and starts >= 1, f"starts is {starts!r}; expected a positive integer")
    check(is_whole(refine) and refine >= 0, f"refine is {refine!r}; expected an integer of 0 or more")
    check(
        codes.ndim == 2 and len(codes) >= k,
        f"codes are of shape {tuple(codes.shape)} for {k} clusters; expected (n, D) with n >= {k}",
    )
    graph = graph or Graph(metric, codes, neighbours=min(10, len(codes) - 1))
    squared = graph.distances(codes).square()  # (codes, nodes)
    best: tuple[float, Tensor, Tensor] | None = None
    for _ in range(starts):
        nodes, labels = _lloyd(squared, _plus_plus(squared, k, generator))
        spread = float(squared[:, nodes].amin(1).mean())
        if best is None or spread < best[0]:
            best = spread, nodes, labels
    assert best is not None
    spread, nodes, labels = best
    centres, moves = graph.nodes[nodes].to(codes), 0
    for _ in range(refine):
        centres, labels, spread, moves = _refined(metric, codes, centres, labels, graph)
        if moves == 0:
            break
    return Clusters(centres, labels, spread, moves)


def _plus_plus(squared: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
    """k nodes far from one another: each next one near a code drawn by its squared distance to those before."""
    own = squared.argmin(1)  # the node that each code is, or is nearest to
    chosen = [int(torch.randint(len(own), (1,), generator=generator))]
    while len(chosen) < k:
        far = squared[:, own[chosen]].amin(1)
        weights = far if float(far.sum()) > 0 else torch.ones_like(far)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
    return own[chosen]


def _lloyd(squared: Tensor, nodes: Tensor, most: int = 100) -> tuple[Tensor, Tensor]:
    """Nodes of least sum of squares, and the codes nearest to each, until neither changes."""
    for _ in range(most):
        labels = squared[:, nodes].argmin(1)
        moved = nodes.clone()
        for i in labels.unique().tolist():
            moved[i] = squared[labels == i].sum(0).argmin()
        if torch.equal(moved, nodes):
            break
        nodes = moved
    return nodes, squared[:, nodes].argmin(1)


def _refined(
    metric: Metric, codes: Tensor, centres: Tensor, labels: Tensor, graph: Graph
) -> tuple[Tensor, Tensor, float, int]:
    """One step of Lloyd's algorithm by geodesics: move the centres, then give each code to the nearest."""
    centres = torch.stack([_mean(metric, codes[labels == i], centre, graph) for i, centre in enumerate(centres)])
    rough = graph.distances(centres.to(graph.nodes))
    rough = torch.stack([row[_nearest(graph, codes)] for row in rough], 1).to(codes)  # (n, k)
    close = rough <= 1.5 * rough.amin(1, keepdim=True)
    code, centre = close.nonzero().T
    paths = by_energy(metric, centres[centre], codes[code], graph=graph, **ROUGH)
    exact = torch.full_like(rough, torch.inf)
    exact[code, centre] = paths.length
    found = exact.argmin(1)
    return centres, found, float(exact.amin(1).square().mean()), int((found != labels).sum())


def _nearest(graph: Graph, codes: Tensor) -> Tensor:
    return torch.cdist(codes, graph.nodes.to(codes)).argmin(1)


def _mean(metric: Metric, codes: Tensor, centre: Tensor, graph: Graph, steps: int = 3) -> Tensor:
    """The centre after steps down the mean squared distance to codes (n, D); minus its gradient is the mean logarithm.

    A step goes along the straight line, for it is short, and is halved until it lowers the sum.
    """
    if not len(codes):
        return centre

    def paths(at: Tensor) -> tuple[float, Tensor]:
        found = by_energy(metric, at.expand_as(codes), codes, graph=graph, **ROUGH)
        return float(found.length.square().mean()), found.velocity.mean(0)

    value, down = paths(centre)
    share = 1.0
    for _ in range(steps):
        trial = centre + share * down
        new, new_down = paths(trial)
        if new < value:
            centre, value, down = trial, new, new_down
        else:
            share /= 4
    return centre


def matched(labels: Tensor, clusters: Tensor) -> Tensor:
    """Return the clusters renamed to the labels with which, one to one, they share the most points."""
    names = labels.unique()
    found = clusters.unique()
    shared = np.array([[int(((clusters == c) & (labels == n)).sum()) for n in names] for c in found])
    rows, columns = linear_sum_assignment(-shared)
    out = torch.full_like(labels, -1)
    for row, column in zip(rows, columns, strict=True):
        out[clusters == found[row]] = names[column]
    return out


def f_measure(labels: Tensor, clusters: Tensor) -> float:
    """Return the mean over classes of the F-measure, in [0, 1], clusters being matched to classes one to one."""
    check(
        labels.ndim == 1 and labels.shape == clusters.shape,
        f"labels and clusters are of shapes {tuple(labels.shape)} and {tuple(clusters.shape)}; expected (n,) and (n,)",
    )
    names = labels.unique().tolist()
    return float(f1_score(labels.numpy(), matched(labels, clusters).numpy(), labels=names, average="macro"))
