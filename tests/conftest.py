"""What holds for every test."""

import gc
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the machine's business: a busy one must not fail a property.
settings.register_profile("untimed", deadline=None)
# For `make test-quick`: fewer examples of each property, and the same ones each time.
settings.register_profile("quick", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("untimed")

# A shell ignores Ctrl-C for what it starts in the background; processes of tests would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = "TESTS_REQUIRE_ALL"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for no garbage among thousands of tests, neither while they are found nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything must be there, a test that lacks something fails and is not skipped."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE_ALL) and not hasattr(report, "wasxfail"):
        reason: Any = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here ({REQUIRE_ALL}): {reason}"
    return report
