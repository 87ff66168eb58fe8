"""Figures of section 4 and Appendix D whose latents training never drew: of low variance, dense, orthogonal.

`unseen` makes the controls of the orthogonal experiment, which the paper lacks.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor, nn

from hollow import experiments, figures, priors, zoo
from hollow.dcgan import SIZE
from hollow.figures.style import BLACK, GREEN, RED
from hollow.paper.along import AXIS, LAM, lines
from hollow.trainer import Trainer
from hollow.zoo import Model

ALPHAS = (1, 0.7, 0.5, 0.25, 0.1)  # the paper does not give the factor of its low-variance samples
COLUMNS = len(LAM)
_LINES = {**AXIS, "column_label": r"position $\lambda$ (lines only)"}


def initial(model: Model) -> Tensor:
    """Return the first layer's weights before training, shape (m, D), drawn again from the recorded recipe and seed."""
    recipe = experiments.Recipe(**model.manifest["recipe"])
    blank = torch.zeros(recipe.batch, 3, SIZE, SIZE, dtype=torch.uint8)
    row = experiments.get(model.manifest["experiment"])
    return _first(Trainer(row, recipe, blank, seed=model.manifest["seed"]).generator).detach()


def unseen(model: Model, weights: Tensor | float) -> Model:
    """Return a copy of a model with other first-layer weights of the coordinates that its training never used.

    Parameters
    ----------
    model : Model
        Its prior is `priors.Half`, with coordinates from K on always 0 in training.
    weights : Tensor or float
        New weights, shape (m, D - K) for a first layer of m units; or a factor for those that are there, such as 0.
    """
    changed = dataclasses.replace(model, generator=copy.deepcopy(model.generator))
    columns = _unused(changed)
    with torch.no_grad():
        columns.copy_(weights if isinstance(weights, Tensor) else columns * weights)
    return changed


def redrawn(model: Model, generator: torch.Generator) -> Model:
    """Return `unseen(model, ...)` with weights drawn as He's rule drew the first ones: std sqrt(2) / median norm."""
    drawn = torch.randn(_unused(model).shape, generator=generator)
    return unseen(model, math.sqrt(2) / model.prior.median_norm * drawn)


def _first(generator: nn.Module) -> Tensor:
    """Weights of the first layer, shape (m, D)."""
    return next(layer.weight for layer in generator.modules() if isinstance(layer, nn.Linear))


def _unused(model: Model) -> Tensor:
    """Weights of the coordinates that a `half` prior leaves at 0, as a view of shape (m, D - K)."""
    if not isinstance(model.prior, priors.Half):
        raise ValueError(f"model {model.name!r} has the prior {model.prior.spec}; expected one of half(base, K)")
    return _first(model.generator)[:, model.prior.K :]


def _grid(model: Model, z: Tensor) -> Tensor:
    """Decode latents (n, D) for `figures.stack`, in rows of `COLUMNS`."""
    images = model.decode(z)
    return images.reshape(-1, COLUMNS, *images.shape[1:]).transpose(0, 1)


def _low_variance(name: str, models: str | Path | None, device: str, seed: int) -> Figure:
    """Samples of a model scaled by `ALPHAS`, the same latents in all rows, and lines between random latents."""
    model, generator = zoo.load(name, models, device=device), torch.Generator().manual_seed(seed)
    z = model.prior.sample(COLUMNS, generator)
    names = ["train,\n" + r"$\alpha = 1$", *(rf"test, $\alpha = {alpha:g}$" for alpha in ALPHAS[1:])]
    panels = {label: _grid(model, alpha * z) for label, alpha in zip(names, ALPHAS, strict=True)}
    return figures.stack(panels | {"lines": lines(model, *model.prior.sample((2, 3), generator))}, **_LINES)


def figure_9(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Low-variance samples of the normal model, and linear interpolations: Figure 9 of the paper."""
    return _low_variance("normal", models, device, seed)


def figure_10(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """The model of the sparse prior on sparse and on dense latents, and linear interpolations: Figure 10."""
    model, generator = zoo.load("sparse", models, device=device), torch.Generator().manual_seed(seed)
    assert isinstance(model.prior, priors.Sparse)
    panels = {
        "train:\nsparse": _grid(model, model.prior.sample(2 * COLUMNS, generator)),
        "test:\ndense": _grid(model, model.prior.dense().sample(2 * COLUMNS, generator)),
        "lines": lines(model, *model.prior.sample((2, 3), generator)),
    }
    return figures.stack(panels, **_LINES)


def figure_11(*, seed: int = 0) -> Figure:
    """Training and test laws in three dimensions, sparse (Figure 11 of the paper) and orthogonal; no model is used."""
    generator = torch.Generator().manual_seed(seed)
    sparse = priors.get("sparse", 3, base="normal", K=1)
    half = priors.get("half", 3, base="normal", K=2)
    assert isinstance(sparse, priors.Sparse)
    assert isinstance(half, priors.Half)
    figure = plt.figure(figsize=(figures.WIDTH, 3.5), layout="none")  # a layout engine leaves wide margins in 3-D
    panels = {"sparse, K = 1": (sparse, sparse.dense()), "orthogonal, K = 2": (half, half.orthogonal())}
    for i, (title, laws) in enumerate(panels.items()):
        ax = figure.add_axes((0.5 * i, 0.04, 0.5, 0.86), projection="3d")
        assert isinstance(ax, Axes3D)
        for axis, end in enumerate(torch.eye(3).tolist()):
            ax.plot(*([-3 * x, 3 * x] for x in end), color=BLACK, linewidth=0.7, alpha=0.5)
            ax.text(*(3.4 * x for x in end), f"$z_{axis + 1}$", ha="center", va="center", fontsize=10)
        for law, colour, marker, label in zip(laws, (RED, GREEN), ("o", "^"), ("train", "test"), strict=True):
            points = law.sample(250, generator)
            points = points[points.norm(dim=-1) < 3]  # what would stick out of the axes
            ax.scatter(*points.T.numpy(), s=13, color=colour, marker=marker, alpha=0.75, linewidth=0, label=label)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), zlim=(-3, 3))
        ax.view_init(elev=18, azim=-58)
        ax.set_box_aspect((1, 1, 1), zoom=1.45)
        ax.set_axis_off()
        figure.text(0.5 * i + 0.25, 0.95, title, ha="center", va="center", fontsize=11)
    figure.legend(*ax.get_legend_handles_labels(), loc="lower center", ncols=2, markerscale=2)
    return figure


def figure_12(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """The model of a half prior on latents orthogonal to its own, its own, and sums of both: Figure 12 of the paper.

    Panels a to d are those of the paper; a column of c and d adds the latents of that column in a and b.
    """
    model, generator = zoo.load("half", models, device=device), torch.Generator().manual_seed(seed)
    assert isinstance(model.prior, priors.Half)
    train = model.prior.sample(2 * COLUMNS, generator)
    test = model.prior.orthogonal().sample(2 * COLUMNS, generator)
    sums = {"c) train\n+ test": train + test, "d) train\n+ 3 test": train + 3 * test}
    panels = {"a) test": test, "b) train": train, **sums}
    return figures.stack({label: _grid(model, z) for label, z in panels.items()})


def figure_21(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Low-variance samples of the uniform model, and linear interpolations: Figure 21 of the paper."""
    return _low_variance("uniform", models, device, seed)


def figure_22(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Low-variance samples of the sphere model, and linear interpolations: Figure 22 of the paper."""
    return _low_variance("sphere", models, device, seed)


def figure_23(*, models: str | Path | None = None, device: str = "cpu", seed: int = 0) -> Figure:
    """Low-variance samples of the model of {-1, 1}^D, and linear interpolations: Figure 23 of the paper."""
    return _low_variance("discrete", models, device, seed)
