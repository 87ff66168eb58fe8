"""Log-odds of norms without a closed form, by quadrature that keeps both tails relatively accurate.

Each function takes a coordinate t (log r; for the uniform law the logit of r^2 / D) and returns
log P(R <= r) - log P(R > r); `hollow.tabulated` calls them to tabulate a law. Sums of squares are inverted from their
Laplace transforms along a line through the saddle point, where nothing cancels (Daniels 1954; here the whole integral
by the trapezoidal rule, not its expansion).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, legendre
from scipy import special

from hollow.law import Array, choose

Complex = npt.NDArray[np.complex128]


def _odds(log_tail: Array) -> Array:
    """Log-odds from the log-probability of the smaller tail."""
    return log_tail - np.log1p(-np.exp(np.minimum(log_tail, -0.01)))


def _line(
    exponent: Callable[[Complex], Complex], at: Array, width: Array, nodes: int, bend: Array | float = 0.0
) -> Array:
    """Log of 1/(2 pi i) times the integral of exp(exponent(s)) through the saddle points ``at``.

    The path is vertical, or a hyperbola of curvature ``bend`` that opens to the right; the rule is the trapezoidal one.
    """
    tau = 0.25 * width[:, None] * np.arange(nodes)
    bend = np.broadcast_to(bend, at.shape)[:, None]
    root = np.hypot(1, bend * tau)
    values = exponent(at[:, None] + bend * tau**2 / (1 + root) + 1j * tau)
    peak = values[:, :1].real
    terms = (np.exp(values - peak) * (1 - 1j * bend * tau / root)).real
    terms[:, 0] /= 2
    return peak[:, 0] + np.log(np.maximum(terms.sum(1), 1e-300) * 0.25 * width / np.pi)


def _blocks(rows: int, columns: int) -> list[npt.NDArray[np.intp]]:
    """Row numbers in blocks of about a million elements, to bound memory."""
    return np.array_split(np.arange(rows), rows * columns // 2**20 + 1)


# Norm of a uniform vector: r^2 is the sum of U_i^2.


def _log_transform(s: Complex, side: int) -> Complex:
    """log E exp(-s U^2) for side -1, log E exp(-s (1 - U^2)) for side 1, Re s > 0."""

    def series(s: Complex) -> Complex:
        total = np.zeros_like(s)
        for k in range(20, 0, -1):
            total = (1 + total) * (-s) * (2 / (2 * k + 1) if side > 0 else (2 * k - 1) / ((2 * k + 1) * k))
        return special.log1p(total)

    def closed(s: Complex) -> Complex:
        root = np.sqrt(s)
        return np.log((special.dawsn(root) if side > 0 else 0.5 * np.sqrt(np.pi) * special.erf(root)) / root)

    return choose(np.abs(s) < 0.5, series, closed, s)


def uniform(t: Array, dim: int, side: int) -> Array:
    """Log-odds of the norm of U[-1, 1]^D, D > 20, at t = logit(r^2 / D), below (side -1) or above (1) the median."""
    size = np.geomspace(1e-3 / np.sqrt(dim), 1e40 * dim, 8000)
    root = np.sqrt(size)
    # Share x / D (below) or 1 - x / D (above) whose saddle point lies at this distance from 0.
    if side < 0:
        ratio = 2 * root * np.exp(-size) / (np.sqrt(np.pi) * special.erf(root))
        share = np.where(size > 600, 0.5 / size, (1 - ratio) / (2 * size))
    else:
        share = np.where(size > 1e4, 1 / size, 1 - (root / special.dawsn(root) - 1) / (2 * size))
    share += 1 / (size * dim)
    odds = np.log(share) - np.log1p(-np.minimum(share, 1 - 1e-12))
    at_log = np.interp(-side * t, odds[::-1], np.log(size)[::-1])
    width = 1 / np.sqrt(np.interp(at_log, np.log(size), np.gradient(-share * dim, size)))
    x = dim * special.expit(-side * t)[:, None]
    # The transform decays like |s|^-powers along the line.
    powers = dim / 2 + 1
    nodes = int(np.sqrt(powers * (10 ** (28 / powers) - 1)) / 0.25) + 50
    log_tail = _line(lambda s: s * x + dim * _log_transform(s, side) - np.log(s), np.exp(at_log), width, nodes)
    return -side * _odds(log_tail)


def _log_ball(dim: int) -> float:
    """Log-probability that a uniform vector of [-1, 1]^D lies in the unit ball."""
    return dim * np.log(np.sqrt(np.pi) / 2) - special.gammaln(dim / 2 + 1)


def _panel_tails(dim: int, k: int, panel: Array, w: Array) -> tuple[Array, Array]:
    """F and 1 - F of r^2 in ``dim`` dimensions at k + w^2."""
    if k == 0:
        low = np.exp(_log_ball(dim)) * w**dim
        return low, 1 - low
    value = chebyshev.chebval(2 * w - 1, panel)
    if k == dim - 1:
        high = np.exp(value) * ((1 - w) * (1 + w)) ** dim
        return 1 - high, high
    return special.expit(value), special.expit(-value)


@lru_cache(maxsize=16)
def _panels(dim: int) -> list[Array]:
    """Chebyshev coefficients for `uniform_panels`, from those of one dimension less by convolution with U^2."""
    w = 0.5 * (1 + chebyshev.chebpts1(32))
    node, weight = legendre.leggauss(32)

    def part(k: int, top: Array, start: Array, end: Array) -> tuple[Array, Array]:
        """Integral of both tails at x - u^2 over u = top sin(angle), where x - u^2 stays in panel k."""
        half = 0.5 * (end - start)[:, None]
        inner = top[:, None] * np.cos(start[:, None] + half * (1 + node))
        low, high = _panel_tails(dim - 1, k, previous[k], inner)
        return (half * weight * inner * low).sum(1), (half * weight * inner * high).sum(1)

    previous = _panels(dim - 1) if dim > 2 else []
    rows = [np.zeros(1)]
    for k in range(1, dim):
        previous = previous or [np.zeros(1)]
        # u > w brings x - u^2 below k, onto panel k - 1.
        reach = np.sqrt(1 + w**2)
        low, high = part(k - 1, reach, np.arcsin(w / reach), np.arcsin(1 / reach))
        if k < dim - 1:
            more = part(k, w, np.zeros_like(w), np.full_like(w, np.pi / 2))
            value = np.log(low + more[0]) - np.log(high + more[1])
        else:  # u < w leaves x - u^2 beyond the support, where 1 - F is 0
            value = np.log(high) - dim * np.log((1 - w) * (1 + w))
        rows.append(chebyshev.chebfit(2 * w - 1, value, 31))
    return rows


def uniform_panels(t: Array, dim: int) -> Array:
    """`uniform` on both sides of the median, for D <= 20.

    On the panel r^2 in [k, k + 1] all is analytic in w = sqrt(r^2 - k): log-odds on the inner panels and
    log P(R > r) - D log(D - r^2) on the last one; on the first one F is the volume of a ball.
    """
    if dim == 1:  # F = r, and 1 - r = (1 - r^2) / (1 + r)
        return np.log1p(special.expit(t) ** -0.5) + t
    x = dim * special.expit(t)
    out = np.empty_like(t)
    for k, panel in enumerate(_panels(dim)):
        here = np.minimum(np.floor(x), dim - 1) == k
        value = chebyshev.chebval(2 * np.sqrt(np.maximum(x[here] - k, 0)) - 1, panel)
        if k == 0:
            value = _odds(_log_ball(dim) - 0.5 * dim * (np.logaddexp(0, -t[here]) - np.log(dim)))
        elif k == dim - 1:
            value = -_odds(value - dim * (np.logaddexp(0, t[here]) - np.log(dim)))
        out[here] = value
    return out


# Norm of a stable vector: X^2 has the transform phi(q) = E exp(-(sqrt(2) q |N|)^alpha) at q^2, N normal.

RAY = 3 * np.pi / 8  # direction of the integral for the upper tail; phi is analytic for abs(arg q) < pi / 2


def _log_phi(alpha: float, q: Complex, step: float = 0.05) -> Complex:
    """Log of the Laplace transform of X^2 at q^2, relatively accurate for small q."""
    if alpha == 1:  # phi = erfcx
        near = lambda q: q**2 + special.log1p(-special.erf(q))  # noqa: E731
        return choose(np.abs(q) < 0.5, near, lambda q: np.log(special.wofz(1j * q)), q)

    def series(q: Complex) -> Complex:
        k = np.arange(1, 33)
        logs = special.gammaln((alpha * k + 1) / 2) - special.gammaln(k + 1) - 0.5 * np.log(np.pi)
        total = np.zeros_like(q)
        for c in ((-1.0) ** k * np.exp(logs))[::-1]:
            total = (total + c) * (2 * q) ** alpha
        return special.log1p(total)

    def far(q: Complex) -> Complex:
        v = np.arange(-3.5, 3.0 + np.log(40) / alpha, step)
        return np.concatenate([_log_phi_integral(alpha, q[rows], v, step) for rows in _blocks(q.size, v.size)])

    return choose((2 * np.abs(q)) ** alpha < 0.25, series, far, q)


def _log_phi_integral(alpha: float, q: Complex, v: Array, step: float) -> Complex:
    size, angle = np.abs(q), np.angle(q)
    # Turn the path of N so that neither the Gaussian nor the stable factor oscillates; n = scale exp(v - exp(-v)).
    turn = np.sign(angle) * np.maximum(0, 0.5 * (np.pi / 4 - np.pi / (2 * alpha) + np.abs(angle)))
    scale = np.minimum(1, 1 / size)
    n = np.exp(v - np.exp(-v))
    gauss = -0.5 * (scale * np.exp(-1j * turn)) ** 2
    stable = -np.exp(alpha * (np.log(np.sqrt(2) * scale * size) + 1j * (angle - turn)))
    values = np.exp(gauss[:, None] * n**2 + stable[:, None] * n**alpha) @ (n * (1 + np.exp(-v)))
    return np.log(values * scale * step * 2 / np.sqrt(2 * np.pi)) - 1j * turn


def stable(t: Array, alpha: float, dim: int, side: int) -> Array:
    """Log-odds of the norm of D stable variables at t = log r, below (side -1) or above (1) the median."""
    return -side * _odds((_stable_below if side < 0 else _stable_above)(t, alpha, dim))


def _stable_below(t: Array, alpha: float, dim: int) -> Array:
    # In p = q r: the saddle of E(p) = p^2 + D log phi(p / r) - log p, tabulated as r(q), and E'' there.
    log_q = np.linspace(-t.max() - 5, -t.min() + 0.5 * np.log(dim + 1) + 2, 4000)
    first = np.gradient(dim * _log_phi(alpha, np.exp(log_q).astype(complex), 0.2).real - log_q, log_q)
    second = np.gradient(first, log_q)
    at_log = np.interp(-t, log_q - 0.5 * np.log(-first / 2), log_q)
    at = np.exp(at_log + t)
    curve = np.maximum(4 - 2 * np.interp(at_log, log_q, second / first), 1e-6)
    # Where Gaussian sums make E flat, follow a line in q^2 instead, along which phi decreases.
    bend = np.clip(1 - curve / 2, 0, 1) / at

    def exponent(p: Complex) -> Complex:
        log_phi = _log_phi(alpha, (p * np.exp(-t)[:, None]).ravel()).reshape(p.shape)
        return p**2 + dim * log_phi - np.log(p) + np.log(2)

    return _line(exponent, at, 1 / np.sqrt(curve), 60 if alpha == 1 else 44, bend)


def _stable_above(t: Array, alpha: float, dim: int, step: float = 0.04) -> Array:
    # 1 - F is 2 / pi times the integral of -Im(exp(q^2 r^2) (phi^D - 1)) d log|q| along the ray.
    below, above = 38 / alpha, 2.5 + 0.5 * np.log(dim)
    first = -t.max() - below
    lattice = first + step * np.arange(int((t.max() - t.min() + below + above) / step) + 2)
    log_power = dim * _log_phi(alpha, np.exp(lattice + 1j * RAY))
    change = special.expm1(np.where(np.abs(log_power) < 1, log_power, 0))
    window = np.arange(int((below + above) / step))
    out = np.empty_like(t)
    for rows in _blocks(t.size, window.size):
        at = ((-t[rows] - below - first) / step).astype(int)[:, None] + window
        kernel = np.exp(2j * RAY) * np.exp(2 * (t[rows, None] + lattice[at]))
        far = np.exp(kernel + log_power[at])
        kernel = np.exp(kernel)
        terms = np.where(np.abs(log_power[at]) < 1, kernel * change[at], far - kernel)
        out[rows] = np.log(np.maximum(-terms.imag.sum(1) * step * 2 / np.pi, 1e-320))
    return out


def stable_size(t: Array, alpha: float) -> Array:
    """Log-odds of abs(X) for one stable X, alpha not 1 or 2, at t = log abs(x).

    Chambers, Mallows and Stuck write log abs(X) = w(theta) - s y with theta uniform on (0, pi / 2), y the log of an
    exponential variable and s = (1 - alpha) / alpha; theta and pi / 2 - theta, averaged over y, give the two tails.
    """
    s = (1 - alpha) / alpha

    def angle(v: Array) -> tuple[Array, Array, Array, Array]:
        """theta and pi / 2 - theta in units of pi / 2, w, and its derivative, at the logit v of theta."""
        low, high = special.expit(v), special.expit(-v)
        theta, rest = 0.5 * np.pi * low, 0.5 * np.pi * high
        inner = np.where(low < high, alpha * theta, np.pi - ((2 - alpha) * 0.5 * np.pi + alpha * rest))
        sine, other = np.sin(inner), np.cos((1 - alpha) * theta)
        w = np.log(sine) - np.log(np.sin(rest)) / alpha + s * np.log(other)
        slope = 1 / (np.tan(rest) * alpha) + alpha * np.cos(inner) / sine
        slope -= s * (1 - alpha) * np.tan((1 - alpha) * theta)
        return low, high, w, slope * 0.5 * np.pi * low * high

    grid = np.linspace(-700, 700, 7001)
    w_grid = angle(grid)[2]
    # The weight of y = (w - t) / s is exp(y - exp(y)); these ends in v leave out less than 1e-16 of either tail.
    lowest = -40 * max(2, 1 / alpha)
    goals = t + s * np.array([[lowest], [0.0], [4.2]])
    ends = np.interp(goals, w_grid, grid)
    for _ in range(3):  # Newton, for s so small that the window is narrower than the grid
        low, high, w, slope = angle(ends)
        ends = np.where(np.abs(ends) < 690, ends - np.clip((w - goals) / slope, -0.1, 0.1), ends)
    reach = 40 * (abs(s) + 1)
    start, end = np.maximum(ends.min(0), ends[1] - reach), np.minimum(ends.max(0), ends[1] + reach)
    nodes = int(max(-6 * lowest, 8 * (end - start).max()))
    step = (end - start) / (nodes - 1)
    out = np.empty_like(t)
    for rows in _blocks(t.size, nodes):
        low, high, w, slope = angle(start[rows, None] + step[rows, None] * np.arange(nodes))
        y = (w - t[rows, None]) / s
        weight = np.exp(y - np.exp(y)) * np.abs(slope)
        out[rows] = np.log((weight * low).sum(1)) - np.log((weight * high).sum(1))
    return out


def kilcher_part(t: Array, part: int, dim: int, k: int, theta: float, side: int) -> Array:
    """Log-odds at t = log a of r b: r Kilcher's radius, b the norm of ``part`` coordinates of a point of the sphere.

    P(r < x) = erf(sqrt(x^k / theta)), averaged over v = logit b^2, where b^2 ~ Beta(part / 2, (dim - part) / 2).
    """
    a, b = part / 2, (dim - part) / 2
    center, width = np.log(a / b), min(1.0, np.sqrt(1 / a + 1 / b))

    def log_weight(v: Array) -> Array:
        return a * v - (a + b) * np.logaddexp(0, v)

    def log_size(v: Array) -> Array:
        return -0.5 * np.logaddexp(0, -v)

    def nodes(step: float, *logs: Array) -> Array:
        """Equal steps over all v where one of these log-integrands on ``coarse`` matters."""
        keep = np.any([values > values.max() - 40 for values in logs], axis=0).nonzero()[0]
        return np.arange(coarse[max(keep[0] - 1, 0)], coarse[min(keep[-1] + 1, coarse.size - 1)], step)

    coarse = center + width * np.sinh(np.linspace(-1, 1, 4001) * np.arcsinh(1500 / width))
    weight, step = log_weight(coarse), 0.25 * width
    total = special.logsumexp(log_weight(nodes(step, weight))) + np.log(step)
    if side < 0:
        v = nodes(step, weight, weight - 0.5 * k * log_size(coarse))
    else:
        # exp(-705) comes from b within 0.03 in v, where exp(-x^k / (theta b^k)) and the weight are in balance.
        step = 0.25 * min(width, 0.03)
        pull = np.exp(np.minimum(-k * (log_size(coarse) - log_size(center)), 50))
        v = nodes(step, *(weight - y * pull for y in (0, 1, 10, 100, 705)))
    weight = np.exp(log_weight(v) + np.log(step) - total)
    out = np.empty_like(t)
    for rows in _blocks(t.size, v.size):
        z = np.exp(0.5 * k * (t[rows, None] - log_size(v)) - 0.5 * np.log(theta))
        tail = (special.erf(z) if side < 0 else special.erfc(z)) @ weight
        out[rows] = -side * _odds(np.log(np.maximum(tail, 1e-320)))
    return out
