"""Paths between latent points, by name, and their weighted forms for n points.

A path is called as `path(z0, z1, lam)`, with latents of shape `(..., D)` and `lam` of shape `(T,)`, and returns
`(T, ..., D)`; see `Path` for what all of them guarantee.
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from hollow import priors
from hollow.laws import Cauchy, Law, Normal, Scaled, Symmetrized, Uniform
from hollow.paths import CoordinateTransport, Path, RadialTransport, Spherical, UniformMatched, WeightedSum
from hollow.prior import check, check_prior, is_real
from hollow.tabulated import StableSize

__all__ = [
    "PATHS",
    "CoordinateTransport",
    "Path",
    "RadialTransport",
    "Spherical",
    "UniformMatched",
    "WeightedSum",
    "gaussian_copula",
    "get",
    "linear",
    "names",
    "normalized",
    "spherical",
]


def linear(z0: Tensor, z1: Tensor, lam: Any) -> Tensor:
    """Straight line (1-lam) z0 + lam z1 (section 3.1); see `Path` for shapes and errors."""
    return WeightedSum()(z0, z1, lam)


def normalized(z0: Tensor, z1: Tensor, lam: Any) -> Tensor:
    """Line ((1-lam) z0 + lam z1) / sqrt((1-lam)^2 + lam^2), which keeps every centred Gaussian (section 3.3)."""
    return WeightedSum("normalized", 2.0)(z0, z1, lam)


def spherical(z0: Tensor, z1: Tensor, lam: Any, *, pole: Tensor | None = None) -> Tensor:
    """Slerp: sin((1-lam) Omega) / sin(Omega) z0 + sin(lam Omega) / sin(Omega) z1, Omega the angle (section 3.2).

    Parallel points get the continuous limit, the straight line. Antiparallel points have none: the path then goes
    along the half great circle through `pole`, with the norm interpolated linearly, or raises without one.

    Parameters
    ----------
    z0, z1, lam
        As for every path.
    pole : Tensor, shape (D,) or (..., D), optional
        Direction of the middle of the path between antiparallel points; its part orthogonal to z0 is used.

    Raises
    ------
    ValueError
        A vector is zero, or two are antiparallel (to the resolution of their dtype) and there is no usable pole.
    """
    return Spherical(pole)(z0, z1, lam)


def gaussian_copula(points: Tensor, weights: Any, mean: Tensor) -> Tensor:
    """Combine n draws of N(mean, Sigma) into another, for any Sigma: (1 - a / sqrt(b)) mean + y / sqrt(b).

    Here y = sum_i w_i z_i, a = sum_i w_i and b = sum_i w_i^2 (Bodin et al., 2024); `mean` has shape (D,).
    """
    return mean + WeightedSum("gaussian-copula", 2.0).combine(points - mean, weights)


def get(name: str, prior: Any = None, **params: Any) -> Path:
    """Return the path called `name`, made for `prior` where it depends on one.

    Parameters
    ----------
    name : str
        One of `names()`.
    prior : Prior, optional
        Needed by all but linear, spherical and normalized; the path then takes only latents of its dimension.
    **params
        `alpha` in (0, 2], 1.5 by default, for stable; `pole` for spherical and spherical-cauchy-linear.

    Raises
    ------
    ValueError
        Unknown name or parameter, not a prior, or the path does not exist for it.
    """
    if not isinstance(name, str) or name not in PATHS:
        family, _, written = name.partition("(") if isinstance(name, str) else ("", "", "")
        if family in PATHS:
            keywords = written.removesuffix(")") or "..."
            raise ValueError(
                f"unknown path {name!r}; give its parameters by keyword: get({family!r}, prior, {keywords})"
            )
        raise ValueError(f"unknown path {name!r}; expected one of {', '.join(names())}")
    build = PATHS[name]
    allowed = [p.name for p in inspect.signature(build).parameters.values()][1:]
    if unknown := sorted(set(params) - set(allowed)):
        raise ValueError(f"path {name!r} has no parameter {unknown[0]!r}; it has: {', '.join(allowed) or 'none'}")
    if prior is None and name not in FREE:
        raise ValueError(f"path {name!r} depends on the prior; call get({name!r}, prior)")
    if prior is not None:
        check_prior(prior)
    try:
        path = build(prior, **params)
    except ValueError as error:
        raise ValueError(f"path {name!r} does not exist here: {error}") from None
    # Only the law of the norm depends on D; a coordinate-wise path fits latents of any dimension.
    return path.made_for(prior.dim) if isinstance(path, RadialTransport) else path


def names() -> tuple[str, ...]:
    """Return the names that `get` knows."""
    return tuple(PATHS)


def _dense(prior: Any) -> Any:
    # Half a prior moves like the whole: the base laws are symmetric, so every path keeps coordinates at 0.
    return prior.base if isinstance(prior, priors.Half | priors.Orthogonal) else prior


def _spec(prior: Any) -> str:
    return getattr(prior, "spec", type(prior).__name__)


def _coordinate_law(prior: Any) -> Law:
    if not hasattr(prior, "marginal"):
        raise ValueError(f"{prior!r} has no marginal(); use CoordinateTransport(law, alpha) with a law of hollow.laws")
    law = _dense(prior).marginal()
    if not law.continuous:
        raise ValueError(
            f"a coordinate of {_spec(prior)} has atoms, so no homeomorphism to a stable law exists; "
            "'linear', 'spherical' and 'normalized' exist for every prior"
        )
    return law


def _stable(prior: Any, *, alpha: float = 1.5, name: str = "") -> Path:
    check(is_real(alpha) and 0 < alpha <= 2, f"alpha is {alpha!r}; expected a number in (0, 2]")
    return CoordinateTransport(_coordinate_law(prior), alpha, name or f"stable(alpha={alpha:g})")


def _radial(prior: Any, *, pole: Tensor | None = None) -> Path:
    if not hasattr(prior, "norm"):
        raise ValueError(f"{prior!r} has no norm(); use RadialTransport(law) with a law of hollow.norms")
    if not getattr(_dense(prior), "isotropic", False):
        try:
            _coordinate_law(prior)
            other = "'cauchy-linear'"
        except ValueError:
            other = "'linear' or 'spherical'"
        raise ValueError(f"{_spec(prior)} is not isotropic, so slerp of directions changes its law; try {other}")
    return RadialTransport(prior.norm(), pole=pole)


def _transport_matched(prior: Any) -> Path:
    match law := _coordinate_law(prior):
        case Uniform():
            return UniformMatched()
        case Scaled(Uniform(), scale):
            return UniformMatched(scale)
    if (alpha := _stability(law)) is None:
        raise ValueError(
            "the law of linear points is written out for normal, uniform, cauchy and stable coordinates, "
            f"not for {law}; try 'gaussian-copula'"
        )
    return WeightedSum("transport-matched", alpha)


def _stability(law: Law) -> float | None:
    """Index alpha of a symmetric stable law, None for the others."""
    match law:
        case Scaled(law=inner):
            return _stability(inner)
        case Normal():
            return 2.0
        case Cauchy():
            return 1.0
        case Symmetrized(StableSize(alpha=alpha)):
            return alpha
    return None


PATHS: dict[str, Callable[..., Path]] = {
    "linear": lambda prior: WeightedSum(),
    "spherical": lambda prior, *, pole=None: Spherical(pole),
    "normalized": lambda prior: WeightedSum("normalized", 2.0),
    "cauchy-linear": lambda prior: _stable(prior, alpha=1.0, name="cauchy-linear"),
    "spherical-cauchy-linear": _radial,
    "transport-matched": _transport_matched,
    "gaussian-copula": lambda prior: _stable(prior, alpha=2.0, name="gaussian-copula"),
    "stable": lambda prior, *, alpha=1.5: _stable(prior, alpha=alpha),
}
FREE = ("linear", "spherical", "normalized")
