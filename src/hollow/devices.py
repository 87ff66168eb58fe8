"""Which device a name means on this machine."""

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
