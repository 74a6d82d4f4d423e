"""What all tests share: the data folder named by HUMANMOTION_DATA, and no silent skips of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "HUMANMOTION_DATA"


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder, one sub-folder per set; tests that ask for it skip where none is named."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no data folder")
    return Path(os.environ[VARIABLE])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # With data given, a data test that skips would hide that it never ran.
    if report.skipped and os.environ.get(VARIABLE) and VARIABLE in str(report.longrepr):
        report.outcome = "failed"
    return report
