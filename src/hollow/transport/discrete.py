"""Transport between two samples, by the solvers of POT: exact, entropic, and their maps for new points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import ot
import torch
from torch import Tensor

from hollow.prior import check

FEWEST = 10  # points of a sample


@dataclass(frozen=True)
class Plan:
    r"""A coupling of n points x and m points y, of equal weights, for the cost :math:`|x - y|^2 / 2`.

    Attributes
    ----------
    cost : float
        Mean cost of the coupling.
    weights : Tensor
        (n, m), float64: mass that goes from x_i to y_j, in all 1.
    u, v : Tensor
        (n,) and (m,), float64: Kantorovich potentials. Of an exact plan u_i + v_j <= c_ij, with equality where mass
        goes, and mean(u) + mean(v) is the cost.
    image : Tensor
        (n, D), the mean of the y that x_i is sent to, in the precision of x.
    """

    cost: float
    weights: Tensor
    u: Tensor
    v: Tensor
    image: Tensor


def sample(z: Tensor, what: str, fewest: int = FEWEST) -> None:
    """Raise a ValueError about `what` unless z is a tensor of finite floats (n, D), n at least `fewest`."""
    if not isinstance(z, Tensor):
        raise ValueError(f"{what} is a {type(z).__name__}; expected a torch tensor, such as torch.as_tensor(z)")
    if z.ndim != 2 or not z.is_floating_point():
        raise ValueError(f"{what} is {z.dtype} of shape {tuple(z.shape)}; expected floats (n, D)")
    check(z.shape[1] > 0, f"points of {what} have no coordinates; give at least one")
    check(len(z) >= fewest, f"{what} has {len(z)} points; give at least {fewest}")
    bad = int((~torch.isfinite(z)).any(1).sum())
    check(bad == 0, f"{bad} of {len(z)} points of {what} hold NaN or infinity; leave them out")


def samples(x: Tensor, y: Tensor, fewest: int = FEWEST) -> None:
    """Raise a ValueError unless x and y are good samples, see `sample`, of one dimension."""
    sample(x, "the first sample", fewest)
    sample(y, "the second sample", fewest)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"points of {x.shape[1]} and of {y.shape[1]} coordinates have no distance; give samples of one dimension"
        )


def costs(x: Tensor, y: Tensor) -> Tensor:
    r"""Return :math:`|x_i - y_j|^2 / 2` in float64, (n, m)."""
    return ot.dist(x.double(), y.double()) / 2


def exact(x: Tensor, y: Tensor) -> Plan:
    """Return the cheapest coupling of samples (n, D) and (m, D), by the network simplex; seconds for a few thousand.

    Raises
    ------
    ValueError
        Different dimensions, NaN, or fewer than 10 points.
    """
    samples(x, y)
    weights, log = ot.emd(_even(x), _even(y), costs(x, y), numItermax=10_000_000, log=True)
    return Plan(float(log["cost"]), weights, log["u"], log["v"], _image(weights, x, y))


def entropic(x: Tensor, y: Tensor, reg: float) -> Plan:
    r"""Return the coupling with the least :math:`\langle P, c \rangle + \mathrm{reg} \cdot \mathrm{KL}(P)`.

    Sinkhorn's algorithm on logarithms (Cuturi 2013); its potentials come from its scalings. `cost` leaves the entropy
    out. Errors are those of `exact`, or reg <= 0.
    """
    samples(x, y)
    check(reg > 0, f"reg is {reg}; expected a positive number, such as a hundredth of the mean cost")
    cost = costs(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could still be more precise
        weights, log = ot.sinkhorn(_even(x), _even(y), cost, reg, "sinkhorn_log", stopThr=1e-6, log=True)
    u, v = reg * log["log_u"], reg * log["log_v"]
    return Plan(float((weights * cost).sum()), weights, u, v, _image(weights, x, y))


def out_of_sample(x: Tensor, y: Tensor, reg: float | None = None) -> ot.da.BaseTransport:
    """Return POT's map from the plan of two samples, whose `transform(Xs=z)` maps new points.

    Without `reg`: the exact plan; a new point moves as the nearest x does (Ferradans et al. 2014). With it: the
    entropic map, a mean of all y (Pooladian and Niles-Weed 2021). POT's cost is twice ours, and so is its reg.
    """
    samples(x, y)
    if reg is None:
        plan = ot.da.EMDTransport(max_iter=10_000_000)
    else:
        plan = ot.da.SinkhornTransport(reg_e=2 * reg, method="sinkhorn_log", out_of_sample_map="continuous")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plan.fit(Xs=x.double(), Xt=y.double())


def _even(x: Tensor) -> Tensor:
    return torch.full((len(x),), 1 / len(x), dtype=torch.float64)


def _image(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (weights @ y.double() / weights.sum(1, keepdim=True)).to(x.dtype)
