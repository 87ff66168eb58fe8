"""The one table of trained models, and the presets they are trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hollow.dcgan import Generator

BUDGET_MB = 40.0  # of all weights that the book ships
SHAPE = ("dim", "arch", "bias", "depth", "activation", "norm")  # what a generator is, besides its width


@dataclass(frozen=True)
class Experiment:
    """One trained model: a prior, a generator and a data set.

    Attributes
    ----------
    name : str
        What `hollow train` and `hollow.zoo.load` call it.
    prior : str
        Prior in the words of `hollow.priors.get`.
    dim : int
        Latent dimension D.
    arch : str
        Architecture of the generator, "conv" or "fc".
    bias, depth, activation, norm
        Of the generator, as in `hollow.dcgan.Generator`.
    widen : float
        Width of both networks, as a multiple of the recipe's.
    seed : int
        Of the training, unless the user gives one.
    images : str
        "portraits" (procedural) or "celeba" (real photographs, which the user brings).
    snapshots : tuple of int
        Steps at which the generator is kept besides the last.
    figures : tuple of int
        Figures of the paper that are drawn from it.
    size_mb : float
        Room that its float16 weights take in the budget, in MB, snapshots included.
    """

    name: str
    prior: str
    dim: int = 100
    arch: str = "conv"
    bias: bool = True
    depth: int = 4
    activation: str = "relu"
    norm: bool = False
    widen: float = 1.0
    seed: int = 0
    images: str = "portraits"
    snapshots: tuple[int, ...] = ()
    figures: tuple[int, ...] = ()
    size_mb: float = 0.96

    def generator(self, width: int = 16) -> Generator:
        """Return an untrained generator of this experiment's shape."""
        shape = {key: getattr(self, key) for key in SHAPE}
        return Generator(width=width, **shape)


_ROWS = (
    Experiment(
        "normal",
        "normal",
        snapshots=(250, 500, 1000, 2000),
        figures=(6, 8, 9, 18, 19, 20),
        size_mb=4.8,
    ),
    Experiment("uniform", "uniform", figures=(7, 21)),
    Experiment("cauchy", "cauchy", figures=(2, 3, 13, 14, 15, 16, 17)),
    Experiment("kilcher", "kilcher", figures=(2, 3)),
    Experiment("sphere", "sphere", figures=(7, 22)),
    Experiment("discrete", "discrete", figures=(23,)),
    Experiment("cauchy-10", "cauchy", dim=10, figures=(14,), size_mb=0.59),
    Experiment("cauchy-50", "cauchy", dim=50, figures=(14,), size_mb=0.76),
    Experiment("cauchy-200", "cauchy", dim=200, figures=(14,), size_mb=1.37),
    Experiment("normal-150", "normal", dim=150, figures=(7,), size_mb=1.17),
    Experiment("normal-200", "normal", dim=200, figures=(7,), size_mb=1.37),
    Experiment("normal-fc", "normal", arch="fc", figures=(7,), size_mb=2.03),
    Experiment("sparse", "sparse(normal, K=50)", figures=(10,)),
    Experiment("half", "half(normal, K=50)", figures=(12,)),
    Experiment("cauchy-isotropic", "cauchy-isotropic"),
    Experiment("student-t", "student-t(nu=3)"),
    Experiment("stable", "stable(alpha=1.5)"),
    Experiment("celeba-normal", "normal", images="celeba"),
    Experiment("celeba-cauchy", "cauchy", images="celeba"),
    Experiment("normal-seed1", "normal", seed=1),
    Experiment("normal-seed2", "normal", seed=2),
    Experiment("cauchy-seed1", "cauchy", seed=1),
    Experiment("cauchy-seed2", "cauchy", seed=2),
    Experiment("normal-no-bias", "normal", bias=False),
    Experiment("normal-batchnorm", "normal", norm=True),
    Experiment("normal-leaky", "normal", activation="leaky_relu"),
    Experiment("normal-tanh", "normal", activation="tanh"),
    Experiment("normal-shallow", "normal", depth=3),
    Experiment("normal-narrow", "normal", widen=0.5, size_mb=0.35),
    Experiment("celeba-no-bias", "normal", bias=False, images="celeba"),
)
TABLE: dict[str, Experiment] = {row.name: row for row in _ROWS}


def get(name: str) -> Experiment:
    """Return the row of the table called `name`; a ValueError lists the names if there is none."""
    if name not in TABLE:
        raise ValueError(f"unknown experiment {name!r}; expected one of {', '.join(TABLE)}")
    return TABLE[name]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the "lite" preset.

    Attributes
    ----------
    width : int
        Filters of the generator's last hidden layer.
    steps, batch : int
        Updates of both networks, and images in each.
    lr, beta1, beta2 : float
        Of Adam, for both networks.
    init : {"he", "normal"}
        He et al. (2015) with the first layer scaled by the prior, or N(0, 0.02^2).
    r1_gamma : float
        Weight of the R1 penalty (Mescheder et al. 2018), 0 for none; taken every `r1_every` steps, times `r1_every`.
    ema : float
        Decay of the averaged generator, 0 for none.
    n_images : int
        Images that are rendered or read, at most.
    log_every, checkpoint_every : int
        Steps between two lines of the log and between two checkpoints.
    grids : tuple of int
        Steps at which a grid of samples is drawn.
    """

    width: int = 16
    steps: int = 4000
    batch: int = 64
    lr: float = 5e-4
    beta1: float = 0.5
    beta2: float = 0.999
    init: str = "he"
    r1_gamma: float = 1.0
    r1_every: int = 8
    ema: float = 0.998
    n_images: int = 20_000
    log_every: int = 25
    checkpoint_every: int = 500
    grids: tuple[int, ...] = (250, 500, 1000, 2000, 4000)

    def __post_init__(self) -> None:
        for name in ("width", "steps", "batch", "n_images", "log_every", "checkpoint_every", "r1_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least 1")
        if self.init not in ("he", "normal"):
            raise ValueError(f"unknown init {self.init!r}; expected he or normal")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema}; expected a decay in [0, 1)")


# Appendix A gives neither the number of steps nor beta_2; 100,000 steps are about 32 epochs of CelebA.
_APPENDIX_A = Recipe(
    width=64,
    steps=100_000,
    lr=2e-4,
    init="normal",
    r1_gamma=0.0,
    ema=0.0,
    n_images=202_599,
    log_every=100,
    checkpoint_every=5000,
    grids=(1000, 5000, 20_000, 50_000, 100_000),
)
PRESETS: dict[str, Recipe] = {
    "smoke": replace(Recipe(), steps=12, n_images=256, log_every=4, checkpoint_every=6, grids=(12,)),
    "lite": Recipe(),
    "paper": _APPENDIX_A,
}


def recipe(preset: str) -> Recipe:
    """Return the recipe called `preset`; a ValueError lists the presets if there is none."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; expected one of {', '.join(PRESETS)}")
    return PRESETS[preset]
