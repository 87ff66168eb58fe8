"""Distances and paths through data: where to start looking for a geodesic."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from hollow.geometry.metric import Metric, factored, root
from hollow.prior import check, is_whole


class Graph:
    """Latents joined to their nearest neighbours, each edge as long as the straight line between them under the metric.

    Shortest paths are longer than geodesics, and go round the same holes: they say which side to start from.

    Parameters
    ----------
    metric : Metric
    nodes : Tensor, shape (n, D)
        Codes of data, draws of a prior, a grid, or all of them (`torch.cat`).
    neighbours : int, keyword-only
        Edges of each node, at least; pieces that do not hang together are joined where they are nearest.
    parts : int, keyword-only
        Steps in which an edge is measured.

    Raises
    ------
    ValueError
        If there are too few nodes, or the metric is singular at all that are looked at: at one or other, say in the
        corner of a grid, it may be.
    """

    def __init__(self, metric: Metric, nodes: Tensor, *, neighbours: int = 10, parts: int = 4):
        metric.check(nodes)
        check(is_whole(neighbours) and neighbours >= 1, f"neighbours is {neighbours!r}; expected a positive integer")
        check(
            nodes.ndim == 2 and len(nodes) > neighbours,
            f"nodes are of shape {tuple(nodes.shape)}; expected (n, D) with n > {neighbours} neighbours",
        )
        matrices = metric.sample(nodes.detach())
        if bool(factored(matrices)[1].all()):
            root(matrices)  # names the first
        self.metric, self.nodes, self.parts = metric, nodes.detach(), parts
        self._where = nodes.detach().cpu().double().numpy()
        self._near = NearestNeighbors(n_neighbors=neighbours + 1).fit(self._where)
        index = self._near.kneighbors(return_distance=True)[1]
        pairs = np.stack((np.repeat(np.arange(len(nodes)), index.shape[1]), index.ravel()), 1)
        self.pairs = self._joined(np.unique(np.sort(pairs, 1), axis=0))
        lengths = self.edges(self.nodes[self.pairs[:, 0]], self.nodes[self.pairs[:, 1]])
        self.lengths = lengths.cpu().double().numpy()

    def edges(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the lengths (n,) of the straight lines between latents a and b, (n, D) each."""
        share = torch.linspace(0, 1, self.parts + 1, dtype=a.dtype, device=a.device)[:, None, None]
        return self.metric.length((1 - share) * a + share * b)

    def distances(self, sources: Tensor) -> Tensor:
        """Return the lengths (m, n) of the shortest paths from latents (m, D) to all n nodes."""
        matrix, first = self._with(sources)
        found = dijkstra(matrix, directed=False, indices=first + np.arange(len(sources)))[:, :first]
        return torch.as_tensor(found, dtype=sources.dtype)

    def paths(self, z0: Tensor, z1: Tensor, points: int = 65) -> Tensor:
        """Return the shortest paths (T, n, D) between latents (n, D), at equal steps of length, corners and all."""
        matrix, first = self._with(torch.cat((z0, z1)))
        where = np.concatenate((self._where, z0.cpu().double().numpy(), z1.cpu().double().numpy()))
        starts = first + np.arange(len(z0))
        _, before = dijkstra(matrix, directed=False, indices=starts, return_predecessors=True)
        out = np.empty((points, len(z0), z0.shape[-1]))
        for i, tree in enumerate(before):
            at, walk = first + len(z0) + i, [first + len(z0) + i]
            while at != starts[i]:
                at = tree[at]
                walk.append(at)
            corners = where[walk[::-1]]
            steps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
            gone = np.concatenate(([0.0], steps.cumsum()))
            share = gone / max(gone[-1], 1e-300)
            for d in range(corners.shape[1]):
                out[:, i, d] = np.interp(np.linspace(0, 1, points), share, corners[:, d])
        return torch.as_tensor(out).to(z0)

    def _with(self, sources: Tensor) -> tuple[csr_matrix, int]:
        """The graph with further nodes, and the number of the first of them."""
        self.metric.check(sources.to(self.nodes) if isinstance(sources, Tensor) else sources)
        check(
            sources.ndim == 2 and sources.shape[1] == self.nodes.shape[1],
            f"latents are of shape {tuple(sources.shape)}; expected (n, {self.nodes.shape[1]}), as the graph's nodes",
        )
        n, m = len(self.nodes), len(sources)
        index = self._near.kneighbors(sources.detach().cpu().double().numpy(), return_distance=False)
        new = np.stack((np.repeat(n + np.arange(m), index.shape[1]), index.ravel()), 1)
        lengths = self.edges(sources.to(self.nodes)[new[:, 0] - n], self.nodes[new[:, 1]]).cpu().double().numpy()
        row, column = np.concatenate((self.pairs, new)).T
        # csgraph takes an explicit 0 for an edge of length 0 only in sparse form, and tiny is as good.
        weights = np.maximum(np.concatenate((self.lengths, lengths)), 1e-300)
        return csr_matrix((weights, (row, column)), shape=(n + m, n + m)), n

    def _joined(self, pairs: np.ndarray) -> np.ndarray:
        """The pairs, and the nearest pair of nodes between each piece and the rest, until all hangs together."""
        n = len(self._where)
        while True:
            ones = csr_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n))
            pieces, label = connected_components(ones, directed=False)
            if pieces == 1:
                return pairs
            for piece in range(1, pieces):
                inside, outside = (np.flatnonzero(mask) for mask in (label == piece, label != piece))
                distance, nearest = NearestNeighbors(n_neighbors=1).fit(self._where[outside]).kneighbors(
                    self._where[inside]
                )
                best = int(distance.argmin())
                pairs = np.concatenate((pairs, [[inside[best], outside[nearest[best, 0]]]]))
