"""Log-odds of norms without a closed form, by quadrature that keeps both tails relatively accurate.

Each function takes log r (for the uniform law the logit of r^2 / D) and returns log P(R <= r) - log P(R > r);
`hollow.tabulated` calls it once per law. Sums of squares are inverted from their Laplace transforms along a line through
the saddle point, where nothing cancels (Daniels 1954; here the whole integral, not its expansion).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, legendre
from scipy import special

from hollow.laws import Array, choose

Complex = npt.NDArray[np.complex128]


def _odds(log_tail: Array) -> Array:
    """Log-odds from the log-probability of the smaller tail."""
    return log_tail - np.log1p(-np.exp(np.minimum(log_tail, -0.01)))


def _line(exponent: Callable[[Complex], Complex], at: Array, width: Array, nodes: int, step: float = 0.25) -> Array:
    """Log of 1/(2 pi i) times the integral of exp(exponent(s)) along Re s = ``at``, by the trapezoidal rule."""
    values = exponent(at[:, None] + 1j * step * width[:, None] * np.arange(nodes))
    peak = values[:, :1].real
    terms = np.exp(values - peak).real
    terms[:, 0] /= 2
    return peak[:, 0] + np.log(np.maximum(terms.sum(1), 1e-300) * step * width / np.pi)


# Norm of a uniform vector: the sum of U_i^2 has the transform M(s)^D with M(s) = exp(s) dawsn(sqrt s) / sqrt s.


def uniform(t: Array, dim: int, side: int) -> Array:
    """Log-odds of the norm of U[-1, 1]^D, D > 12, at t = logit(r^2 / D), below (side -1) or above (1) the median."""
    size = np.geomspace(1e-3 / np.sqrt(dim), 1e18 * dim, 6000)
    root = np.sqrt(size)
    # Mean share x / D (below) or 1 - x / D (above) of the law tilted by exp(side * size * x).
    with np.errstate(over="ignore", invalid="ignore"):
        if side < 0:
            ratio = 2 * root * np.exp(-size) / (np.sqrt(np.pi) * special.erf(root))
            share = np.where(size > 600, 0.5 / size, (1 - ratio) / (2 * size))
        else:
            share = np.where(size > 1e4, 1 / size, 1 - (root / special.dawsn(root) - 1) / (2 * size))
    share = (share + 1 / (size * dim))[::-1]
    log_size = np.log(size[::-1])
    at_log = np.interp(-side * t, np.log(share) - np.log1p(-np.minimum(share, 1 - 1e-12)), log_size)
    width = 1 / np.sqrt(np.interp(at_log, log_size[::-1], np.gradient(-share[::-1] * dim, size)))
    x = dim * special.expit(-side * t)[:, None]

    def exponent(s: Complex) -> Complex:
        root = np.sqrt(s)
        factor = special.dawsn(root) if side > 0 else 0.5 * np.sqrt(np.pi) * special.erf(root)
        return s * x + dim * np.log(factor / root) - np.log(s)

    # The transform decays like |s|^-powers along the line.
    powers = dim / 2 + 1
    nodes = int(np.sqrt(powers * (10 ** (28 / powers) - 1)) / 0.25) + 50
    return -side * _odds(_line(exponent, np.exp(at_log), width, nodes))


def _log_ball(dim: int) -> float:
    """Log-probability that a uniform vector of [-1, 1]^D lies in the unit ball."""
    return dim * np.log(np.sqrt(np.pi) / 2) - special.gammaln(dim / 2 + 1)


def uniform_panels(t: Array, dim: int) -> Array:
    """`uniform` on both sides for D <= 12, by D - 1 convolutions with the law of U^2.

    On the panel x = r^2 in [k, k + 1] all is analytic in w = sqrt(x - k); the table holds the log-odds on the inner
    panels and log P(S > x) - D log(D - x) on the last one; on the first one F is the volume of a ball.
    """
    if dim == 1:  # F = r, and 1 - r = (1 - r^2) / (1 + r)
        return np.log1p(special.expit(t) ** -0.5) + t
    w = 0.5 * (1 + chebyshev.chebpts1(32))
    node, weight = legendre.leggauss(32)

    def tails(d: int, k: int, panel: Array, w: Array) -> tuple[Array, Array]:
        """F and 1 - F of dimension d at x = k + w^2."""
        value = chebyshev.chebval(2 * w - 1, panel)
        if k == 0:
            low = np.exp(_log_ball(d)) * w**d
            return low, 1 - low
        if k == d - 1:
            high = np.exp(value) * ((1 - w) * (1 + w)) ** d
            return 1 - high, high
        return special.expit(value), special.expit(-value)

    def part(d: int, k: int, panel: Array, top: Array, start: Array, end: Array) -> tuple[Array, Array]:
        """Integral of both tails at x - u^2 over u = top sin(angle), where x - u^2 stays in panel k."""
        half = 0.5 * (end - start)[:, None]
        angle = start[:, None] + half * (1 + node)
        inner = top[:, None] * np.cos(angle)
        low, high = tails(d, k, panel, inner)
        return (half * weight * inner * low).sum(1), (half * weight * inner * high).sum(1)

    panels = [np.zeros(1)]
    for d in range(2, dim + 1):
        rows = [np.zeros(1)]
        for k in range(1, d):
            # u^2 > w^2 brings x - u^2 below k, onto panel k - 1.
            reach = np.sqrt(1 + w**2)
            low, high = part(d - 1, k - 1, panels[k - 1], reach, np.arcsin(w / reach), np.arcsin(1 / reach))
            if k < d - 1:
                more = part(d - 1, k, panels[k], w, np.zeros_like(w), np.full_like(w, np.pi / 2))
                value = np.log(low + more[0]) - np.log(high + more[1])
            else:  # there x exceeds the support of dimension d - 1 by w^2
                value = np.log(high) - d * np.log((1 - w) * (1 + w))
            rows.append(chebyshev.chebfit(2 * w - 1, value, 31))
        panels = rows

    x = dim * special.expit(t)
    out = np.empty_like(t)
    for k in range(dim):
        here = np.minimum(np.floor(x), dim - 1) == k
        value = chebyshev.chebval(2 * np.sqrt(np.maximum(x[here] - k, 0)) - 1, panels[k])
        if k == 0:
            value = _odds(_log_ball(dim) - 0.5 * dim * (np.logaddexp(0, -t[here]) - np.log(dim)))
        elif k == dim - 1:
            value = -_odds(value - dim * (np.logaddexp(0, t[here]) - np.log(dim)))
        out[here] = value
    return out


# Norm of a stable vector: X^2 has the transform phi(q) = E exp(-(sqrt(2) q |N|)^alpha) at s = q^2, N normal.

RAY = 3 * np.pi / 8  # direction of the integral for the upper tail: the transform is analytic for abs(arg q) < pi / 2


def _log_phi(alpha: float, q: Complex) -> Complex:
    """Log of the Laplace transform of X^2 at q^2, relatively accurate for small q."""
    if alpha == 1:  # phi = erfcx
        return choose(np.abs(q) < 0.5, lambda q: q**2 + special.log1p(-special.erf(q)), lambda q: np.log(special.wofz(1j * q)), q)
    return choose((2 * np.abs(q)) ** alpha < 0.25, lambda q: _log_phi_series(alpha, q), lambda q: _log_phi_integral(alpha, q), q)


def _log_phi_series(alpha: float, q: Complex) -> Complex:
    k = np.arange(1, 33)
    coefficient = (-1.0) ** k * np.exp(special.gammaln((alpha * k + 1) / 2) - special.gammaln(k + 1)) / np.sqrt(np.pi)
    power = (2 * q) ** alpha
    total = np.zeros_like(q)
    for c in coefficient[::-1]:
        total = (total + c) * power
    return special.log1p(total)


def _log_phi_integral(alpha: float, q: Complex, step: float = 0.035) -> Complex:
    out = np.empty_like(q)
    for part in np.array_split(np.arange(q.size), q.size // 4096 + 1):
        # Turn the path of N by -turn so that neither the Gaussian nor the stable factor oscillates.
        size, angle = np.abs(q[part]), np.angle(q[part])
        turn = np.sign(angle) * np.maximum(0, 0.5 * (np.pi / 4 - np.pi / (2 * alpha) + np.abs(angle)))
        scale = np.minimum(1, 1 / size)
        v = np.arange(-3.7, 3.0 + max(0.0, np.log(40) / alpha), step)
        u = np.log(scale)[:, None] + v - np.exp(-v)
        n2 = np.exp(2 * u - 2j * turn[:, None])
        with np.errstate(over="ignore", invalid="ignore"):
            stable = np.exp(alpha * (u + np.log(np.sqrt(2) * size)[:, None] + 1j * (angle - turn)[:, None]))
            terms = np.exp(u - 0.5 * n2 - stable) * (1 + np.exp(-v))
        out[part] = np.log(np.nan_to_num(terms, nan=0.0).sum(1) * step * 2 / np.sqrt(2 * np.pi)) - 1j * turn
    return out


def stable(t: Array, alpha: float, dim: int, side: int) -> Array:
    """Log-odds of the norm of D stable variables at t = log r, below (side -1) or above (1) the median."""
    return -side * _odds((_stable_below if side < 0 else _stable_above)(t, alpha, dim))


def _stable_below(t: Array, alpha: float, dim: int) -> Array:
    # In p = q r: the saddle of p^2 + D log phi(p / r) - log p, tabulated as r(q).
    log_q = np.linspace(-t.max() - 5, -t.min() + 0.5 * np.log(dim + 1) + 2, 400)
    slope = np.gradient(dim * _log_phi(alpha, np.exp(log_q).astype(complex)).real, log_q) - 1
    log_r = 0.5 * np.log(-slope / 2) - log_q
    at_log = np.interp(-t, -log_r, log_q)
    curvature = 4 - 2 * np.interp(at_log, log_q, np.gradient(np.log(-slope), log_q))

    def exponent(p: Complex) -> Complex:
        log_phi = _log_phi(alpha, (p * np.exp(-t)[:, None]).ravel()).reshape(p.shape)
        return p**2 + dim * log_phi - np.log(p) + np.log(2)

    return _line(exponent, np.exp(at_log + t), 1 / np.sqrt(np.maximum(curvature, 1e-3)), 60)


def _stable_above(t: Array, alpha: float, dim: int, step: float = 0.04) -> Array:
    # 1 - F is the integral of -Im(exp(q^2 r^2) (phi^D - 1)) d log|q| along the ray, times 2 / pi.
    start = -t.max() - 40 / alpha
    w = start + step * np.arange(int((2.5 - t.min() - start) / step))
    change = special.expm1(dim * _log_phi(alpha, np.exp(w + 1j * RAY)))
    kernel = np.exp(np.exp(2j * RAY) * np.exp(2 * (t[:, None] + w)))
    total = -np.imag(kernel * change).sum(1) * step * 2 / np.pi
    return np.log(np.maximum(total, 1e-320))


def stable_size(t: Array, alpha: float) -> Array:
    """Log-odds of abs(X) for one stable X, alpha not 1 or 2, at t = log abs(x).

    Chambers, Mallows and Stuck write log abs(X) = w(theta) - s y with theta uniform on (0, pi / 2), y the log of an
    exponential variable and s = (1 - alpha) / alpha; theta and pi / 2 - theta, averaged over y, are the two tails.
    """
    s = (1 - alpha) / alpha

    def angle(v: Array) -> tuple[Array, Array, Array, Array]:
        """theta and pi / 2 - theta in units of pi / 2, w, and its derivative, at the logit v of theta."""
        low, high = special.expit(v), special.expit(-v)
        theta, rest = 0.5 * np.pi * low, 0.5 * np.pi * high
        inner = np.where(theta < rest, alpha * theta, np.pi - ((2 - alpha) * 0.5 * np.pi + alpha * rest))
        w = np.log(np.sin(inner)) - np.log(np.sin(rest)) / alpha + s * np.log(np.cos((1 - alpha) * theta))
        slope = 1 / np.tan(rest) / alpha + alpha / np.tan(inner) - s * (1 - alpha) * np.tan((1 - alpha) * theta)
        return low, high, w, slope * 0.5 * np.pi * low * high

    grid = np.linspace(-700, 700, 28001)
    w_grid = angle(grid)[2]

    def where(y: float) -> Array:
        return np.interp(t + s * y, w_grid, grid)

    lowest = -40 * max(2, 1 / alpha)
    ends = np.stack([where(lowest), where(4.2)])
    middle = where(0.0)
    start = np.maximum(ends.min(0), middle - 40 * (abs(s) + 1))
    end = np.minimum(ends.max(0), middle + 40 * (abs(s) + 1))
    nodes = int(max(-6 * lowest, 8 * (end - start).max(), 400))
    step = (end - start) / (nodes - 1)
    low, high, w, slope = angle(start[:, None] + step[:, None] * np.arange(nodes))
    y = (w - t[:, None]) / s
    weight = np.exp(y - np.exp(y)) * np.abs(slope / s) * step[:, None]
    return np.log((weight * low).sum(1)) - np.log((weight * high).sum(1))
