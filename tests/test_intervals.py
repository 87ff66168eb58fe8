"""Student's interval: against SciPy, and how often it holds the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from hollow import intervals


def test_it_is_scipys():
    values = [0.9, 0.95, 0.85]
    mean, half = intervals.student(values)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert intervals.student(iter(values)) == (mean, half)


def test_one_value_says_nothing_and_none_is_refused():
    assert intervals.student([1.0]) == (1.0, math.inf)
    with pytest.raises(ValueError, match="no values; expected one or more"):
        intervals.student([])


def test_it_holds_the_truth_95_times_in_100():
    """The negative control is the normal quantile, which for five values is too narrow."""
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    found = np.array([intervals.student(row) for row in draws])
    missed = np.abs(found[:, 0] - 3.0)
    held = (missed <= found[:, 1]).mean()
    narrow = (missed <= found[:, 1] * stats.norm.ppf(0.975) / stats.t.ppf(0.975, 4)).mean()
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)
    assert narrow < 0.90
