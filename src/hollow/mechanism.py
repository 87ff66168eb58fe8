"""Why pictures inside the shell are sensible: before its last tanh a ReLU generator is nearly straight along a ray.

Everything here takes any `torch.nn.Module` that maps latents (n, D) and has a method `pre_tanh`, the picture h(z)
before the last tanh, so that G = tanh h. Results are float32 on the CPU. Source: chapter 13.
"""

from __future__ import annotations

import copy
from functools import cached_property

import torch
from torch import Tensor, nn

from hollow.dcgan import ACTIVATIONS

SATURATED = 0.98  # size from which on a value of a picture counts as flat, as in `hollow.quality`
_KINDS = tuple(type(make()) for make in ACTIVATIONS.values())
_SHIFTS = ("bias", "running_mean")  # what `bare` sets to 0


class Rays:
    r"""Straight rays from the origin through latents: the prediction of :math:`G(s z)` from the pictures at 0 and z.

    .. math:: \hat h(s z) = h(0) + s\,(h(z) - h(0)), \qquad \hat G = \tanh \hat h.

    Exact for a network of affine maps and ReLUs without biases, and along each ray on which no unit switches.

    Parameters
    ----------
    generator : Module
        With a method `pre_tanh`.
    z : Tensor
        Where the rays pass, shape (n, D); on the shell, as a rule.
    """

    def __init__(self, generator: nn.Module, z: Tensor) -> None:
        self.generator, self.z = generator, z

    @cached_property
    def origin(self) -> Tensor:
        """h(0), shape (1, ...)."""
        return before_tanh(self.generator, torch.zeros_like(self.z[:1]))

    @cached_property
    def ends(self) -> Tensor:
        """h(z), shape (n, ...)."""
        return before_tanh(self.generator, self.z)

    def straight(self, s: float | Tensor) -> Tensor:
        """Return the prediction before the tanh at s z, for one factor s >= 0 or one for each ray, shape (n,)."""
        return self.origin + _factor(s, self.ends) * (self.ends - self.origin)

    def faded(self, s: float | Tensor) -> Tensor:
        """Return the predicted pictures at s z, shape (n, ...); `s` as for `straight`."""
        return torch.tanh(self.straight(s))

    def decoded(self, s: float | Tensor) -> Tensor:
        """Return what the generator draws at s z, shape (n, ...); `s` as for `straight`."""
        return torch.tanh(before_tanh(self.generator, _factor(s, self.z).to(self.z) * self.z))

    def bend(self, s: float | Tensor) -> Tensor:
        """Return by how much each ray is off at s z before the tanh, over the length of h(z) - h(0), shape (n,)."""
        off = before_tanh(self.generator, _factor(s, self.z).to(self.z) * self.z) - self.straight(s)
        return off.flatten(1).norm(dim=1) / (self.ends - self.origin).flatten(1).norm(dim=1)

    def explained(self, s: float | Tensor) -> float:
        """Return the share of the variance of the pictures at s z that the straight rays explain."""
        return explained(self.decoded(s), self.faded(s))

    def saturated(self, s: float | Tensor) -> Tensor:
        """Return the predicted share of values beyond 0.98 in size of each picture at s z, shape (n,)."""
        return (self.faded(s).abs() > SATURATED).float().flatten(1).mean(1)


def explained(actual: Tensor, guess: Tensor) -> float:
    """Return which share of the variance between pictures, value by value, a guess explains.

    1 for a perfect guess, 0 for the mean picture, negative for worse. Both have shape (n, ...).
    """
    error, spread = _squares(actual, guess)
    return float(1 - error.sum() / spread.sum())


def interval(
    actual: Tensor, guess: Tensor, random: torch.Generator, *, level: float = 0.99, resamples: int = 2000
) -> tuple[float, float]:
    """Return the two ends of an interval for `explained`: a bootstrap over pictures, with `random` numbers.

    Pictures are drawn again, with their guesses, from those there are; the mean picture is that of all of them.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level}, {resamples} resamples; give a level between 0 and 1, and 1 resample or more")
    error, spread = _squares(actual, guess)
    again = torch.randint(len(error), (resamples, len(error)), generator=random)
    shares = 1 - error[again].sum(1) / spread[again].sum(1)
    low, high = shares.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=shares.dtype)).tolist()
    return low, high


def _squares(actual: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
    """Return squared distances of pictures from their guesses, and from the mean picture, both of shape (n,)."""
    if actual.shape != guess.shape:
        raise ValueError(f"pictures of shape {tuple(actual.shape)}, guesses of {tuple(guess.shape)}; give equal shapes")
    error, spread = ((actual - x).square().flatten(1).sum(1).double() for x in (guess, actual.mean(0)))
    if not spread.sum() > 1e-9 * actual.square().sum():  # rounding is no variance
        raise ValueError(f"{len(actual)} pictures do not differ, so there is no variance to explain; give more latents")
    return error, spread


def bare(generator: nn.Module) -> nn.Module:
    r"""Return a copy without biases, in evaluation mode.

    With ReLU or leaky ReLU its h is the recession function :math:`h_\infty(z) = \lim_{s \to \infty} h(s z) / s`, and
    :math:`h - h_\infty` is bounded. Batch normalisation with running statistics is an affine map: its mean and its
    bias are set to 0 and its scale is kept.
    """
    result = copy.deepcopy(generator).eval().requires_grad_(False)
    for part in result.modules():
        for shift in (getattr(part, name, None) for name in _SHIFTS):
            if isinstance(shift, Tensor):
                shift.zero_()
    return result


def layers(generator: nn.Module, z: Tensor) -> dict[str, Tensor]:
    """Return what each activation receives, "layer 1", "layer 2", ..., and the "output" h, each of shape (n, units).

    The activations have to be modules: ReLU, leaky ReLU or tanh.
    """
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().cpu().flatten(1).clone()))
        for part in generator.modules() if isinstance(part, _KINDS)
    ]  # fmt: skip
    if not hooks:
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise ValueError(f"{type(generator).__name__} has none of the modules {names}; functions cannot be watched")
    try:
        output = before_tanh(generator, z, batch=max(1, len(z)))
    finally:
        for hook in hooks:
            hook.remove()
    return {f"layer {i}": values for i, values in enumerate(seen, 1)} | {"output": output.flatten(1)}


def straightness(generator: nn.Module, z: Tensor, s: float) -> dict[str, float]:
    """Return, layer by layer, the share of the variance at s z that straight rays through 0 and z explain."""
    start, end, actual = (layers(generator, latents) for latents in (torch.zeros_like(z[:1]), z, s * z))
    return {name: explained(actual[name], start[name] + s * (end[name] - start[name])) for name in actual}


def switched(generator: nn.Module, z: Tensor, s: float) -> dict[str, float]:
    """Return, layer by layer, the share of units that are on at s z and off at z, or the other way round."""
    here, there = layers(generator, z), layers(generator, s * z)
    return {name: float(((here[name] > 0) != (there[name] > 0)).float().mean()) for name in here if name != "output"}


@torch.no_grad()
def before_tanh(generator: nn.Module, z: Tensor, *, batch: int = 256) -> Tensor:
    """Return h(z) on the CPU for finite latents of shape (n, D)."""
    pre_tanh = getattr(generator, "pre_tanh", None)
    if not callable(pre_tanh):
        raise ValueError(f"{type(generator).__name__} has no method pre_tanh(z), the picture before the last tanh")
    if z.ndim != 2 or not len(z):
        raise ValueError(f"latents of shape {tuple(z.shape)}; expected (n, D) with n at least 1")
    if not bool(torch.isfinite(z).all()):
        raise ValueError("latents hold NaN or infinity; give finite ones")
    weight = next(generator.parameters())
    return torch.cat([pre_tanh(part.to(weight)).float().cpu() for part in z.split(batch)])


def _factor(s: float | Tensor, values: Tensor) -> Tensor:
    """Return factors as a tensor that multiplies `values` of shape (n, ...)."""
    factor = torch.as_tensor(s, dtype=torch.float32)
    if factor.ndim > 1 or (factor.ndim == 1 and len(factor) != len(values)):
        raise ValueError(f"factors of shape {tuple(factor.shape)} for {len(values)} rays; give one, or one for each")
    if not bool(((factor >= 0) & torch.isfinite(factor)).all()):
        raise ValueError("a factor is negative or not finite; a ray has s >= 0 only, take -z for the opposite one")
    return factor.reshape(-1, *[1] * (values.ndim - 1))
