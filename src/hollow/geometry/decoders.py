"""What a decoder must be able to do: gradients everywhere, and second derivatives where geodesics accelerate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from hollow.prior import check

with warnings.catch_warnings(category=FutureWarning, action="ignore"):
    # torch.func loads this at its first derivative and warns of torch's own use of torch.jit, which no reader can mend.
    import torch._decomp.decompositions_for_jvp

KINKS = {  # operations of torch whose value or slope jumps, or may jump, as that of `where`
    "abs", "adaptive_max_pool2d", "amax", "amin", "aminmax", "ceil", "clamp", "clamp_max", "clamp_min", "cummax",
    "cummin", "floor", "fmax", "fmin", "fmod", "frac", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "heaviside", "kthvalue", "leaky_relu", "max", "max_pool2d_with_indices", "max_pool3d_with_indices", "maximum",
    "median", "min", "minimum", "nanmedian", "_prelu_kernel", "relu", "relu6", "remainder", "round",
    "rrelu_with_noise", "sign", "softshrink", "sort", "threshold", "topk", "trunc", "where",
}  # fmt: skip
MIXING = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)  # in training they mix or blur latents


def joint(decoder: Callable[[Tensor], Any], z: Tensor) -> Tensor:
    """Return all outputs of a decoder side by side, shape (n, N), for latents (n, D)."""
    out = decoder(z)
    parts = out if isinstance(out, tuple | list) else (out,)
    for part in parts:
        ok = isinstance(part, Tensor) and part.ndim >= 1 and len(part) == len(z)
        check(
            ok,
            f"the decoder returns {getattr(part, 'shape', type(part).__name__)} for {len(z)} latents; "
            f"expected a tensor whose first axis is {len(z)}",
        )
    return torch.cat([part.reshape(len(z), -1) for part in parts], dim=1)


def check_gradients(decoder: Callable[[Tensor], Any], z: Tensor) -> int:
    """Return how many outputs a decoder has; raise `ValueError` if torch.func finds no gradients at latents (n, D)."""
    mend = "decode with torch operations only, without no_grad, detach or NumPy (a model's generator, not its decode)"
    for name, module in _layers(decoder):
        check(
            not (module.training and isinstance(module, MIXING)),
            f"layer {name!r} ({type(module).__name__}) is in training mode, so latents are not decoded by themselves; "
            "call decoder.eval()",
        )
    try:
        with torch.no_grad():
            plain = joint(decoder, z)
    except (RuntimeError, TypeError) as error:
        if "type" in str(error):  # torch words it in several ways: "same dtype", "Input type (double) and ..."
            raise ValueError(
                f"the decoder does not take latents of dtype {z.dtype}: {_line(error)}; "
                "convert one of them: z.to(dtype), or decoder.to(z.dtype)"
            ) from error
        raise ValueError(f"the decoder does not take latents of shape {tuple(z.shape)}: {_line(error)}") from error
    try:
        with torch.enable_grad():
            recorded = joint(decoder, z.detach().clone().requires_grad_()).requires_grad
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the decoder has no gradients ({_line(error)}); {mend}") from error
    check(recorded, f"the decoder has no gradients: torch records none of its operations; {mend}")
    # A fixed direction without zeros: a decoder that depends on any latent changes along it.
    direction = torch.linspace(0.5, 1.5, z.shape[-1], dtype=z.dtype, device=z.device).expand_as(z)
    try:
        slope = jvp(lambda at: joint(decoder, at), (z,), (direction,))[1]
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the decoder has no gradients ({_line(error)}); {mend}") from error
    if not bool(slope.any()):
        with torch.no_grad():
            moves = not torch.equal(plain, joint(decoder, z + direction))
        why = "its outputs change and its derivatives are 0" if moves else "its outputs do not depend on the latents"
        raise ValueError(f"the decoder has no gradients: {why}; {mend}")
    return plain.shape[1]


def check_smooth(decoder: Callable[[Tensor], Any], z: Tensor) -> None:
    """Raise `ValueError` that names the first layers with known operations with kinks: no second derivatives there."""
    found = kinks(decoder, z)
    check(
        not found,
        f"second derivatives are needed and {', '.join(found[:3])} has a kink; "
        "use a smooth activation such as softplus, or solver='energy'",
    )


def kinks(decoder: Callable[[Tensor], Any], z: Tensor) -> list[str]:
    """Return the layers of a decoder that use known operations with kinks, as "layer '1' (ReLU)", in order of use.

    Operations are known by name (`KINKS`), so a kink by other means, say by indexing or by Python's `if`, is not seen.
    """
    names = {module: name for name, module in _layers(decoder)}
    inside: list[nn.Module] = []
    found: dict[str, None] = {}

    class Watch(TorchDispatchMode):
        """Sees each operation, and in which layer."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            if name in KINKS:
                layer = inside[-1] if inside else None
                called = f"layer {names[layer]!r} ({type(layer).__name__})" if layer and names.get(layer) else ""
                alone = called and not any(True for _ in layer.children())  # type: ignore[union-attr]
                found[called if alone else f"{name}() in {called or 'the decoder'}"] = None
            return func(*args, **(kwargs or {}))

    hooks = (
        register_module_forward_pre_hook(lambda module, _: inside.append(module)),
        register_module_forward_hook(lambda *_: inside.__delitem__(-1)),
    )
    try:
        with torch.no_grad(), Watch():
            joint(decoder, z)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found)


def _layers(decoder: Any) -> Iterator[tuple[str, nn.Module]]:
    """Named layers of a module, of the module that a method belongs to, and of those that an object holds."""
    owner = getattr(decoder, "__self__", decoder)
    held = [owner, *(getattr(value, "__self__", value) for value in getattr(owner, "__dict__", {}).values())]
    for module in held:
        if isinstance(module, nn.Module):
            yield from module.named_modules()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
