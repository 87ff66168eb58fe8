"""Latent distributions by name: sampling under a generator, exact laws of one coordinate and of the norm, densities.

`get("stable(alpha=1.5)", dim=100)` makes a prior, `names()` lists them. A prior of your own is any object with
`dim` and `sample(n, generator)`; derive it from `Prior` to name its laws as well.
"""

import ast
import dataclasses
import re
from typing import Any

from hollow.derived import Derived, Half, Orthogonal, Scaled, Sparse
from hollow.distributions import (
    Cauchy,
    CauchyIsotropic,
    Discrete,
    Kilcher,
    Normal,
    Sphere,
    Stable,
    StudentT,
    Uniform,
)
from hollow.prior import Prior, check, is_whole

__all__ = [
    "Cauchy",
    "CauchyIsotropic",
    "Derived",
    "Discrete",
    "Half",
    "Kilcher",
    "Normal",
    "Orthogonal",
    "Prior",
    "Scaled",
    "Sparse",
    "Sphere",
    "Stable",
    "StudentT",
    "Uniform",
    "get",
    "names",
]

_DENSE = (Normal, Uniform, Sphere, Discrete, Cauchy, CauchyIsotropic, StudentT, Stable, Kilcher)
_FAMILIES: dict[str, type[Prior]] = {family.name: family for family in (*_DENSE, Sparse, Half, Orthogonal, Scaled)}
_WHOLE = ("K", "k")  # parameters that are whole numbers


def names() -> list[str]:
    """Names of the priors that `get` makes."""
    return list(_FAMILIES)


def get(spec: str, dim: int = 100, **params: Any) -> Prior:
    """Make a prior from its name or spec.

    Parameters
    ----------
    spec : str
        A name of `names()`, with parameters in parentheses if wanted: `normal`, `student-t(nu=3)`,
        `sparse(normal, K=50)`.
    dim : int
        Number of coordinates D.
    **params
        Parameters by keyword, instead of or over those of `spec`; `base` is a spec or a prior.

    Raises
    ------
    ValueError
        Unknown name or parameter, or a parameter outside its range.

    Examples
    --------
    >>> get("sparse", 100, base="normal", K=50).spec
    'sparse(normal, K=50)'
    """
    name, written = _parsed(spec)
    check(name in _FAMILIES, f"unknown prior {name!r}; expected one of {', '.join(names())}")
    family = _FAMILIES[name]
    fields = [f for f in dataclasses.fields(family) if f.init and f.name != "dim"]
    expected = ", ".join(f.name for f in fields) or "no parameter"
    given = written | params
    for key in given:
        check(key in [f.name for f in fields], f"unknown parameter {key!r} of prior {name}; expected {expected}")
    for field in fields:
        missing = field.name not in given and field.default is dataclasses.MISSING
        check(not missing, f"prior {name} needs {field.name}; expected {expected}")
    return family(dim, **{key: _value(key, value, dim) for key, value in given.items()})


def _parsed(spec: str) -> tuple[str, dict[str, Any]]:
    """Split `name(key=value, ...)` into its name and parameters; a value without a key is `base`."""
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", spec) if isinstance(spec, str) else None
    if match is None:
        raise ValueError(f"cannot read the prior {spec!r}; expected name or name(key=value, ...)")
    params: dict[str, Any] = {}
    # Commas inside parentheses belong to a nested prior.
    for item in re.split(r",(?![^()]*\))", match[2] or ""):
        key, equals, text = item.partition("=") if re.match(r"\s*\w+\s*=", item) else ("base", "", item)
        if not text.strip():
            check(not equals and not item.strip(), f"parameter {key.strip()!r} of {spec!r} has no value")
            continue
        try:
            params[key.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            params[key.strip()] = text.strip()
    return match[1], params


def _value(key: str, value: Any, dim: int) -> Any:
    """A parameter as the family takes it: a prior, a whole number or a float."""
    if key == "base":
        base = get(value, dim) if isinstance(value, str) else value
        check(isinstance(base, Prior), f"base is {value!r}; expected a prior or its name")
        check(base.dim == dim, f"base has {base.dim} coordinates; expected dim = {dim}")
        return base
    number = is_whole(value) or isinstance(value, float)
    check(number, f"{key} is {value!r}; expected a number")
    if key in _WHOLE:
        return int(value) if is_whole(value) or value.is_integer() else value
    return float(value)
