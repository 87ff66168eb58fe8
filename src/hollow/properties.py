"""The four properties of an interpolation (section 3 of the paper) as tests, and measures of a path's course::

    prior = priors.get("normal", 100)
    report = check(prior, interpolations.get("cauchy-linear", prior))
    print(report)

A prior is anything with `dim` and `sample(n, generator)`, a path any callable `path(z0, z1, lam)` from latents (n, D)
and positions (T,), all float64 on the CPU, to points (T, n, D). Chapter 6 shows the matrix of all priors and paths.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hollow.interpolations import spherical
from hollow.prior import check_prior
from hollow.two_sample import LawTest, combined, law_test, norm, randn

PathLike = Callable[[Tensor, Tensor, Any], Tensor]
LEVEL = 1e-4  # property 4 fails below this p-value
JUMP, STRAIGHT, ON_PATH = 1e-3, 1e-6, 1e-5  # tolerances of properties 1-3
PAIRS = 16  # endpoints on which properties 1-3 are tried
MIDDLE = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
GREAT_CIRCLE = "great circle, shortest on the sphere, where the norms are equal"
NAMES = {1: "continuous", 2: "straight", 3: "sub-paths lie on it", 4: "keeps the law"}


@dataclass(frozen=True)
class Verdict:
    """Whether one property holds: `value` against `tolerance`, and the endpoints where it is worst.

    For properties 1-3 `value` is the worst residual, which has to stay below `tolerance`; for property 4 it is the
    combined p-value, which has to stay above, and `tests` has its parts.
    """

    number: int
    holds: bool
    value: float
    tolerance: float
    detail: str = ""
    counterexample: tuple[Tensor, Tensor] | None = field(default=None, compare=False)
    tests: tuple[LawTest, ...] = ()

    @property
    def name(self) -> str:
        return NAMES[self.number]

    @property
    def p_value(self) -> float | None:
        """Combined p-value of property 4, None for the others."""
        return self.value if self.number == 4 else None


@dataclass(frozen=True)
class Report:
    """Verdicts on properties 1-4 of `path` on `prior`: `report[4].p_value`; `str(report)` is a table."""

    prior: str
    path: str
    verdicts: tuple[Verdict, ...]

    def __getitem__(self, number: int) -> Verdict:
        return self.verdicts[number - 1]

    @property
    def holds(self) -> tuple[bool, ...]:
        return tuple(verdict.holds for verdict in self.verdicts)

    def __str__(self) -> str:
        lines = [f"{self.path} on {self.prior}", f"{'property':24}{'verdict':9}{'value':>10}{'tolerance':>11}  detail"]
        for v in self.verdicts:
            value = _p(v.value, "p = ") if v.number == 4 else f"{v.value:.2g}"
            verdict = "holds" if v.holds else "fails"
            lines.append(f"{v.number} {v.name:22}{verdict:9}{value:>10}{v.tolerance:>11.0e}  {v.detail}".rstrip())
        lines += ["", f"{'test of the law':24}{'lam':<9}{'p':>10}{'distance':>11}{'spread':>9}{'n':>8}"]
        for t in self[4].tests:
            spread = "-" if np.isnan(t.spread) else f"{t.spread:.3f}"
            lines.append(f"{t.name:24}{t.lam:<9.2g}{_p(t.p_value):>10}{t.effect:>11.3f}{spread:>9}{t.n:>8}")
        return "\n".join(lines)


def check(
    prior: Any,
    path: PathLike,
    *,
    generator: torch.Generator | None = None,
    n: int = 4000,
    lams: Sequence[float] = (0.1, 0.3, 0.5),
    permutations: int | None = None,
) -> Report:
    """Test properties 1-4 of `path` on `prior`.

    1. Continuous in lam, z0 and z1: the largest jump that bisection finds along lam and along segments of endpoints,
       relative to the diameter of the curve. Antiparallel and zero endpoints are probed apart, and named in `detail`.
    2. Straight: the largest distance from the chord, relative to its length.
    3. A sub-path between two points of a path lies on it: the largest distance, relative to the length of the path.
    4. The point at a fixed lam between independent draws has the prior's law: `law_test` of `n` points against `n`
       fresh draws at each of `lams`, combined by Bonferroni; holds where p >= 1e-4.

    Parameters
    ----------
    prior
        Anything with `dim` and `sample(n, generator)`.
    path : callable
        `path(z0, z1, lam)`: (n, D), (n, D) and (T,) to (T, n, D); those of `hollow.interpolations` are.
    n : int
        Size of the samples of property 4.
    permutations : int, optional
        Most permutations of each energy test; by default 70,000 for each of `lams`, enough for that test to reject
        on its own after Bonferroni. A rejection takes all of them, about a second each.

    Raises
    ------
    ValueError
        `prior` is no prior, `path` no path, `n` is under 20, or what the path itself raises on draws of the prior.
    """
    check_prior(prior)
    if not callable(path):
        made = f"interpolations.get({path if isinstance(path, str) else 'linear'!r}, prior)"
        raise ValueError(
            f"path is {textwrap.shorten(repr(path), 80, placeholder='...')}; "
            f"expected a callable path(z0, z1, lam), such as {made}"
        )
    if n < 20:
        raise ValueError(f"n is {n}; the tests of property 4 need at least 20 draws")
    if not len(lams):
        raise ValueError("lams is empty; expected positions in [0, 1], such as (0.1, 0.3, 0.5)")
    if permutations is None:
        permutations = 70_000 * len(lams)
    if permutations < 1:
        raise ValueError(f"permutations is {permutations}; expected at least 1")
    z0, z1, fresh = (_draws(prior, n, generator) for _ in range(3))
    few = z0[:PAIRS], z1[:PAIRS]
    name = getattr(path, "name", getattr(path, "__name__", type(path).__name__))
    path = partial(_points, path)
    law = partial(law_test, generator=generator, permutations=permutations)
    verdicts = (
        _continuity(path, *few, fresh, generator),
        _straightness(path, *few),
        _sub_paths(path, *few),
        _law(path(z0, z1, torch.tensor(lams, dtype=torch.float64)), fresh, lams, law),
    )
    return Report(f"{getattr(prior, 'spec', type(prior).__name__)} (D = {prior.dim})", name, verdicts)


def _draws(prior: Any, n: int, generator: torch.Generator | None) -> Tensor:
    """Latents (n, D) in float64 on the CPU; a ValueError says what is wrong with a prior of the caller's own."""
    z, kind = prior.sample(n, generator), type(prior).__name__
    if not isinstance(z, Tensor) or not z.is_floating_point() or z.shape != (n, prior.dim):
        got = f"{z.dtype} Tensor of shape {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"{kind}.sample({n}, generator) is a {got}; expected a floating Tensor ({n}, {prior.dim})")
    if not torch.isfinite(z).all():
        raise ValueError(f"{kind}.sample({n}, generator) holds NaN or infinity; expected finite latents")
    return z.cpu().double()


def _points(path: PathLike, z0: Tensor, z1: Tensor, lam: Tensor) -> Tensor:
    """Points (T, ..., D) of `path` for latents (..., D), which it is given as (n, D)."""
    flat = z0.reshape(-1, z0.shape[-1])
    points: Any = path(flat, z1.reshape(flat.shape), lam)
    shape, expected = getattr(points, "shape", None), (len(lam), *flat.shape)
    if not isinstance(points, Tensor) or shape != expected:
        got = type(points).__name__ if shape is None else f"{type(points).__name__} of shape {tuple(shape)}"
        raise ValueError(
            f"path returned a {got} for latents of shape (n, D) = {expected[1:]} and lam of shape (T,) = "
            f"({len(lam)},); expected a Tensor of shape (T, n, D) = {expected}"
        )
    return points.reshape(len(lam), *z0.shape)


def _p(value: float, prefix: str = "") -> str:
    return f"{prefix}{value:.2g}" if value >= 1e-99 else f"{prefix[:-2]}< 1e-99"


def _infinite(residual: Tensor) -> Tensor:
    return residual.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _worst(number: int, residual: Tensor, tolerance: float, z0: Tensor, z1: Tensor, detail: str = "") -> Verdict:
    """Verdict from one residual a pair; a residual that is not a number is infinite."""
    residual = _infinite(residual)
    i = int(residual.argmax())
    value = float(residual[i])
    return Verdict(number, value <= tolerance, value, tolerance, detail, (z0[i], z1[i]))


def _continuity(path: PathLike, z0: Tensor, z1: Tensor, others: Tensor, generator: torch.Generator | None) -> Verdict:
    def largest_jump(curve: Callable[[Tensor], Tensor]) -> Tensor:
        # Steps of a continuous curve shrink as the interval of the largest one is cut, 2^44 times in all.
        at = torch.linspace(0, 1, 257, dtype=torch.float64)
        points = curve(at)
        diameter = norm(points - points[0]).max()
        for _ in range(9):
            i = int(_infinite(norm(points.diff(dim=0))).argmax())
            at = at[i] + (at[i + 1] - at[i]) * torch.linspace(0, 1, 17, dtype=torch.float64)
            points = curve(at)
        return norm(points.diff(dim=0)).max() / diameter.clamp_min(1e-300)

    def jumps(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        curves = (
            lambda lam: path(a, b, lam),
            lambda s: path(a.lerp(c, s[:, None]), b.expand(len(s), -1), MIDDLE[:1])[0],
            lambda s: path(a.expand(len(s), -1), b.lerp(c, s[:, None]), MIDDLE[:1])[0],
        )
        return torch.stack([largest_jump(curve) for curve in curves]).max()

    residual = torch.stack([jumps(*ends) for ends in zip(z0, z1, others, strict=False)])
    singular = _singular(path, z0, generator)
    return _worst(1, residual, JUMP, z0, z1, f"off {' and '.join(singular)}" if singular else "")


def _singular(path: PathLike, z: Tensor, generator: torch.Generator | None) -> list[str]:
    """Special endpoints at which the path is undefined, or depends on the side from which they are approached."""
    r = norm(z)[:, None]
    w = randn(z.shape, generator)
    w *= r / norm(w)[:, None]
    probes = {"antiparallel pairs": (-z, w, -w), "zero vectors": (0 * z, z + w, w - z)}
    found = []
    for name, (end, one, other) in probes.items():
        try:
            at, near, far = (path(z, end + 1e-9 * step, MIDDLE) for step in (0, one, other))
            gap = torch.maximum(norm(near - at), norm(near - far)) / r[:, 0]
            defined = bool((_infinite(gap) <= JUMP).all())
        except ValueError:
            defined = False
        if not defined:
            found.append(name)
    return found


def _straightness(path: PathLike, z0: Tensor, z1: Tensor) -> Verdict:
    lam = torch.linspace(0, 1, 33, dtype=torch.float64)
    chord, points = z1 - z0, path(z0, z1, lam)
    # Of equal ends the chord has no length; rounding of their own size is then forgiven.
    size = torch.maximum(norm(chord), 1e-9 * torch.maximum(norm(z0), norm(z1))).clamp_min(1e-300)
    along = (((points - z0) * (chord / size[:, None])).sum(-1) / size).clamp(0, 1)
    off = _infinite(norm(points - z0 - along[..., None] * chord) / size).amax(0)
    straight = bool((off <= STRAIGHT).all())
    return _worst(2, off, STRAIGHT, z0, z1, GREAT_CIRCLE if not straight and _on_sphere(path, z0, z1) else "")


def _on_sphere(path: PathLike, z0: Tensor, z1: Tensor) -> bool:
    """Whether paths between points of equal norm are arcs of great circles, the shortest on the sphere."""
    z1 = z1 * (norm(z0) / norm(z1))[:, None]
    lam = torch.linspace(0, 1, 9, dtype=torch.float64)
    try:
        off = [_off_curve(path(a, b, lam), partial(spherical, a, b)) / norm(a) for a, b in zip(z0, z1, strict=True)]
    except ValueError:
        return False
    return bool((torch.stack(off) <= STRAIGHT).all())


def _sub_paths(path: PathLike, z0: Tensor, z1: Tensor) -> Verdict:
    start, end = torch.tensor([[0.1, 0.35, 0.4], [0.6, 0.9, 0.55]], dtype=torch.float64)
    inner = torch.linspace(0.2, 0.8, 3, dtype=torch.float64)
    grid = torch.linspace(0, 1, 257, dtype=torch.float64)
    residual = []
    for a, b in zip(z0, z1, strict=True):
        ends, size = (path(a, b, start), path(a, b, end)), length(path(a, b, grid)).clamp_min(1e-300)
        if torch.isfinite(size):
            residual.append(_off_curve(path(*ends, inner).flatten(0, 1), partial(path, a, b)) / size)
        else:
            residual.append(size)
    return _worst(3, torch.stack(residual), ON_PATH, z0, z1)


def _off_curve(points: Tensor, curve: Callable[[Tensor], Tensor]) -> Tensor:
    """Largest distance of points (M, D) from a curve, by a grid refined about the nearest position of each."""
    grid = torch.linspace(0, 1, 257, dtype=torch.float64)
    nearest = grid[torch.cdist(points, curve(grid)).argmin(1)]
    step = torch.linspace(-1, 1, 17, dtype=torch.float64) / 256
    for _ in range(9):
        at = (nearest[:, None] + step).clamp(0, 1)
        distance, i = norm(curve(at.flatten()).unflatten(0, at.shape) - points[:, None]).min(1)
        nearest, step = at.gather(1, i[:, None])[:, 0], step / 8
    return distance.max()


def _law(points: Tensor, fresh: Tensor, lams: Sequence[float], law: Callable[..., tuple[LawTest, ...]]) -> Verdict:
    tests = tuple(replace(test, lam=lam) for lam, x in zip(lams, points, strict=True) for test in law(x, fresh))
    worst, p = min(tests, key=lambda test: test.p_value), combined(tests)
    return Verdict(4, p >= LEVEL, p, LEVEL, f"least p: {worst.name} at lam = {worst.lam:g}", tests=tests)


def length(points: Tensor) -> Tensor:
    """Length of the polygons through `points` (T, ..., D), shape (...)."""
    return norm(points.diff(dim=0)).sum(0)


def detour(points: Tensor) -> Tensor:
    """Length of paths (T, ..., D) over the straight line between their ends, shape (...); 1 for a straight path."""
    return length(points) / norm(points[-1] - points[0])


def peak_speed(points: Tensor) -> Tensor:
    """Largest over mean speed of paths (T, ..., D) sampled at equal steps of lam, shape (...); 1 for an even one.

    Depends on the grid: the speed of cauchy-linear has high, narrow peaks.
    """
    step = norm(points.diff(dim=0))
    return step.amax(0) / step.mean(0)
