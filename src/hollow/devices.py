"""Which device a name means on this machine, and what it is fast at."""

from __future__ import annotations


def named(name: str = "auto") -> str:
    """Return the device called `name` ("cpu", "cuda", "cuda:1"); "auto" is the GPU where there is one.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    import torch  # here alone: commands that run nothing should not wait for it

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError:
        kind = ""
    absent = kind == "cuda" and (torch.device(name).index or 0) >= torch.cuda.device_count()
    if kind not in ("cpu", "cuda") or absent:
        found = "auto, cpu or cuda" if torch.cuda.is_available() else "auto or cpu (torch sees no GPU here)"
        raise ValueError(f"device {name!r} cannot be used; expected {found}")
    return name


def bfloat16(name: str) -> bool:
    """Return whether the device has units for bfloat16; without, a convolution takes many times as long in it."""
    import torch

    if torch.device(name).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
