"""The option --all-faults, and the count of what was done."""

import time
from collections import Counter, defaultdict

import pytest

from faults import record

_COUNTS: dict[str, Counter] = defaultdict(Counter)
_BEGUN = time.monotonic()


def pytest_addoption(parser):
    parser.addoption("--all-faults", action="store_true", help="every fault, and write down how many: make faults")


@pytest.fixture(scope="session")
def thorough(request):
    """Return whether every fault is wanted, or the short form of `make test`."""
    return request.config.getoption("--all-faults", default=False)


@pytest.fixture(scope="session")
def tally():
    """Return the counts by what was done and kind; a test adds to them once it has seen that all went well."""
    return _COUNTS


def pytest_sessionfinish(session, exitstatus):
    if session.config.getoption("--all-faults", default=False) and exitstatus == 0 and not record.lacking(_COUNTS):
        record.write(_COUNTS, time.monotonic() - _BEGUN)
        print(f"\nwrote {record.FILE}")
