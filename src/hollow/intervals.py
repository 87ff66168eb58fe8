"""How far a mean over repeated runs may be off."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy import stats

from hollow.prior import check


def student(values: Iterable[float]) -> tuple[float, float]:
    """Return the mean of independent values, such as one a seed, and half the width of its 95 % interval.

    The half width is t s / sqrt(n): s is the standard deviation with n - 1 degrees of freedom, t the 97.5 % quantile
    of Student's law with as many. It holds for values that are about normal; one value has an infinite interval.

    Raises
    ------
    ValueError
        If there are no values.

    Source: Student 1908; chapters 14 to 16 show it.
    """
    array = np.fromiter(values, dtype=float)
    n = len(array)
    check(n > 0, "no values; expected one or more, of independent runs")
    if n == 1:
        return float(array[0]), math.inf
    return float(array.mean()), float(stats.t.ppf(0.975, n - 1) * array.std(ddof=1) / math.sqrt(n))
