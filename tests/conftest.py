"""The book under the smoke preset, executed and rendered once for all tests that look at it."""

import signal
from pathlib import Path

import pytest

from hollow.book import build

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell start with it ignored

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "_build" / "smoke"


@pytest.fixture(scope="session")
def smoke():
    """Return what building the whole book under the smoke preset did; its claims have been checked."""
    return build(ROOT, preset="smoke", out=SMOKE)


@pytest.fixture(scope="session")
def stage(smoke):
    return SMOKE / "stage" / "book"


@pytest.fixture(scope="session")
def html(smoke):
    return SMOKE / "html"
