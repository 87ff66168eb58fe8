"""Pictures of pictures: samples in a grid, and decoded paths as strips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from hollow.figures.style import WIDTH
from hollow.pictures import BORDER, mosaic


def gallery(images: Tensor, columns: int = 8, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw `images` of shape (n, 3, height, width) in rows of `columns`."""
    picture = mosaic(images, columns)
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH, WIDTH * picture.shape[0] / picture.shape[1] + 0.3 * bool(title)))
    ax.imshow(np.asarray(picture), interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def strips(
    paths: Tensor,
    *,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    column_label: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw decoded paths, one a row from left to right.

    Parameters
    ----------
    paths : Tensor
        Images of shape (T, n, 3, height, width), as a generator decodes a path of n pairs at T positions.
    columns, rows : sequence of str, keyword-only
        Labels of the T columns and of the n rows.
    column_label : str, keyword-only
        What the labels of the columns are, such as the position lambda.
    """
    if paths.ndim != 5:
        raise ValueError(f"paths of shape {tuple(paths.shape)}; expected (T, n, 3, height, width)")
    steps, n = paths.shape[:2]
    ax = gallery(paths.transpose(0, 1).flatten(0, 1), steps, title=title, ax=ax)
    size = paths.shape[-1] + BORDER
    ax.set_xlabel(column_label)
    if columns:
        ax.set_xticks(BORDER / 2 + size * (np.arange(steps) + 0.5), columns)
    if rows:
        ax.set_yticks(BORDER / 2 + size * (np.arange(n) + 0.5), rows)
    ax.tick_params(length=0)
    return ax


def stack(panels: Mapping[str, Tensor], *, columns: Sequence[str] = (), column_label: str = "") -> Figure:
    """Draw panels one under another, each with its name on the left.

    Parameters
    ----------
    panels : mapping
        Images (T, n, 3, height, width) for n rows of T, by name; T is the same in all.
    columns, column_label : keyword-only
        Labels under the last panel, as `strips` takes them.
    """
    rows = [images.shape[1] for images in panels.values()]
    side = (WIDTH - 1.0) / next(iter(panels.values())).shape[0]  # of an image; the names take about an inch
    size = (WIDTH, side * sum(rows) + 0.08 * len(rows) + (0.45 if columns else 0.1))
    layout = ConstrainedLayoutEngine(h_pad=0.02, hspace=0)
    figure, axes = plt.subplots(len(rows), 1, figsize=size, height_ratios=rows, squeeze=False, layout=layout)
    for i, (ax, (name, images)) in enumerate(zip(axes.flat, panels.items(), strict=True)):
        last = i == len(rows) - 1
        strips(images, columns=columns if last else (), column_label=column_label if last else "", ax=ax)
        ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure
