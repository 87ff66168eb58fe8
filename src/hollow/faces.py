"""Procedural portraits with known factors: the embedded data set of the book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from hollow.painting import draw

__all__ = ["FACTORS", "Factor", "portraits", "render", "sample_factors"]

CHUNK = 64  # portraits of 64 x 64 painted at once: few enough to stay in cache, enough to hide the call overhead


@dataclass(frozen=True)
class Factor:
    """One ground-truth factor: uniform on [lo, hi], or a class k drawn with probability ``probs[k]``."""

    name: str
    meaning: str
    unit: str = "scale"
    lo: float = 0.0
    hi: float = 1.0
    probs: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """Either "continuous" or "categorical"."""
        return "categorical" if self.probs else "continuous"

    @property
    def classes(self) -> int:
        """Number of classes; 0 for a continuous factor."""
        return len(self.probs)


FACTORS: tuple[Factor, ...] = (
    Factor("skin", "skin tone, light to dark"),
    Factor("blush", "redness of the cheeks"),
    Factor("hair_colour", "black, brown, chestnut, ginger, blond, silver"),
    Factor("hair_length", "from the ears to below the shoulders"),
    Factor("hair_volume", "thickness of the hair around the head", "1/64 of the canvas", 0.0, 3.5),
    Factor("hair_curl", "straight to curly"),
    Factor("hair_style", "swept left, swept right, centre parting, straight fringe", "class", probs=(0.25,) * 4),
    Factor("hairline", "height of the hairline over the eyes", "1/64 of the canvas", 8.5, 13.0),
    Factor("face_width", "half-width of the face", "1/64 of the canvas", 12.5, 16.0),
    Factor("face_length", "eyes to chin", "1/64 of the canvas", 17.0, 21.0),
    Factor("jaw", "narrow to square"),
    Factor("yaw", "turn of the head, left to right", "about 30 degrees", -1.0, 1.0),
    Factor("tilt", "roll of the head", "degrees", -10.0, 10.0),
    Factor("light_direction", "side of the light, left to right", "scale", -1.0, 1.0),
    Factor("light_strength", "contrast of the shading"),
    Factor("eye_size", "half-height of the eye opening", "1/64 of the canvas", 1.1, 2.2),
    Factor("eye_colour", "dark brown, hazel, green, blue, grey"),
    Factor("eye_spacing", "half the distance of the eyes", "1/64 of the canvas", 5.6, 7.2),
    Factor("gaze", "direction of the look, left to right", "scale", -1.0, 1.0),
    Factor("brow_thickness", "half-thickness of the brows", "1/64 of the canvas", 0.4, 1.2),
    Factor("brow_angle", "worried to stern", "scale", -1.0, 1.0),
    Factor("nose_length", "eyes to tip of the nose", "1/64 of the canvas", 5.5, 8.0),
    Factor("nose_width", "half-width of the nose", "1/64 of the canvas", 1.6, 3.6),
    Factor("mouth_width", "half-width of the mouth", "1/64 of the canvas", 3.8, 6.5),
    Factor("mouth_open", "opening of the mouth", "1/64 of the canvas", 0.0, 2.6),
    Factor("smile", "corners of the mouth, down to up", "scale", -0.4, 1.0),
    Factor("lip_colour", "natural to painted"),
    Factor("background_hue", "hue behind the head, around the colour circle", "turns"),
    Factor("background_light", "dark to bright background"),
    Factor("background_gradient", "change of brightness across the background", "scale", -1.0, 1.0),
    Factor("clothing_hue", "hue of the clothes, around the colour circle", "turns"),
    Factor("clothing_light", "dark to bright clothes"),
    Factor("neckline", "round collar to deep V"),
    Factor("glasses", "none, round, square", "class", probs=(0.75, 0.15, 0.1)),
    Factor("beard", "none, stubble, full", "class", probs=(0.7, 0.12, 0.18)),
)


def _checked(factors: Mapping[str, object], device: torch.device | str | None) -> dict[str, Tensor]:
    known = {factor.name: factor for factor in FACTORS}
    for name in factors:
        if name not in known:
            raise ValueError(f"unknown factor {name!r}; expected {', '.join(known)}")
    out: dict[str, Tensor] = {}
    for name, factor in known.items():
        if name not in factors:
            raise ValueError(f"factor {name!r} is missing; start from sample_factors(n) and edit it")
        value = torch.as_tensor(factors[name])
        first = next(iter(out.values()), value)
        if value.ndim != 1 or value.shape != first.shape:
            want = f"({len(first)},)" if first.ndim == 1 else "(n,)"
            raise ValueError(f"factor {name!r} has shape {tuple(value.shape)}; expected {want}")
        if factor.probs:
            ok, law = (value >= 0) & (value < factor.classes) & (value == value.long()), f"0 to {factor.classes - 1}"
        else:
            ok, law = (value >= factor.lo) & (value <= factor.hi), f"[{factor.lo:g}, {factor.hi:g}]"
        if not bool(ok.all()):
            bad = value[~ok][0].item()
            raise ValueError(f"factor {name!r} holds {bad:g}; expected a value in {law}; clamp it")
        out[name] = value.to(first.device if device is None else device, torch.float32)
    return out


def sample_factors(n: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Draw the factors of n portraits, independently: uniform on [lo, hi], or a class by its probabilities.

    Row i uses only the i-th row of uniforms, so a longer draw from the same state extends a shorter one.

    Parameters
    ----------
    n : int
        Number of portraits, at least 1.
    generator : torch.Generator, optional
        A CPU generator.

    Returns
    -------
    dict[str, Tensor]
        One tensor of shape (n,) on the CPU for each of `FACTORS`: float32, or int64 for classes.

    Raises
    ------
    ValueError
        If n < 1.
    """
    if n < 1:
        raise ValueError(f"n = {n} portraits; expected at least 1")
    uniforms = torch.rand(n, len(FACTORS), generator=generator)
    out = {}
    for factor, p in zip(FACTORS, uniforms.T, strict=True):
        if factor.probs:
            steps = torch.tensor(factor.probs).cumsum(0)[:-1]
            out[factor.name] = torch.bucketize(p.contiguous(), steps, right=True)
        else:
            out[factor.name] = torch.lerp(torch.tensor(factor.lo), torch.tensor(factor.hi), p)
    return out


def render(
    factors: Mapping[str, Tensor],
    *,
    size: int = 64,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Tensor:
    """Paint the portraits that the factors describe.

    Parameters
    ----------
    factors : Mapping[str, Tensor]
        A tensor of shape (n,) for each of `FACTORS`, as `sample_factors` gives them, edited at will.
    size : int
        Height and width in pixels, at least 16.
    device : torch.device or str, optional
        Where to paint; by default where the factors are. Pixels agree between devices up to 1/255.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Tensor
        Images (n, 3, size, size), uint8, on `device`.

    Raises
    ------
    ValueError
        For an unknown or missing factor, a wrong shape, a value outside the factor's range, or a size below 16.
    """
    if size < 16:
        raise ValueError(f"size = {size} pixels; expected at least 16")
    f = _checked(factors, device)
    n, where = len(f["skin"]), f["skin"].device
    out = torch.empty(n, 3, size, size, dtype=torch.uint8, device=where)
    chunk = max(1, CHUNK * 64 * 64 // size**2) * (1 if where.type == "cpu" else 16)
    with torch.no_grad(), tqdm(total=n, desc="portraits", unit="img", disable=not progress) as bar:
        for start in range(0, n, chunk):
            part = {name: value[start : start + chunk] for name, value in f.items()}
            pixels = draw(part, size).mul_(255).add_(0.5).to(torch.uint8)
            out[start : start + chunk] = pixels.permute(3, 0, 1, 2)
            bar.update(pixels.shape[-1])
    return out


def portraits(
    n: int, seed: int = 0, *, device: torch.device | str = "cpu", progress: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The first n portraits of the procedural data set with this seed, with their factors.

    Parameters
    ----------
    n : int
        Number of portraits, at least 1. Portrait i does not depend on n.
    seed : int
        Seed of the factors, which are drawn on the CPU: the same portraits on each device, up to 1/255.
    device : torch.device or str
        Where to paint.
    progress : bool
        Show a progress bar.

    Returns
    -------
    images : Tensor
        (n, 3, 64, 64), uint8, on `device`.
    factors : dict[str, Tensor]
        As from `sample_factors`, on the CPU.

    Raises
    ------
    ValueError
        If n < 1.
    """
    factors = sample_factors(n, torch.Generator().manual_seed(seed))
    return render(factors, device=device, progress=progress), factors
