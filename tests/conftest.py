"""What holds for every test. Invariant: with CI=true nothing is skipped in silence; a skip is a failure."""

import os
from collections.abc import Callable, Generator

import pytest
from hypothesis import settings

from tests import databases

pytest.register_assert_rewrite("tests.contracts")

# A busy machine pauses for longer than any deadline of an example.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SKIP_IS_FAILURE = os.environ.get("CI", "").lower() in {"1", "true"}

TOLD = "told"


def pytest_addoption(parser: pytest.Parser) -> None:
    """On which catalog the engine and the protocols are tried."""
    parser.addoption("--catalog", choices=databases.KINDS, default="memory")


def pytest_configure(config: pytest.Config) -> None:
    """Choose it."""
    databases.choose(config.getoption("--catalog"))


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """What a long test has counted is said at the end of the run, when it passes too."""
    return lambda text: record_property(TOLD, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have told."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    properties = [one for report in reports if report.when == "call" for one in report.user_properties]
    if told := [str(value) for name, value in properties if name == TOLD]:
        terminalreporter.section("what was counted")
        for text in told:
            terminalreporter.line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure where nobody would see the skip."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is imported."""
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if SKIP_IS_FAILURE and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nWith CI=true a skipped test is a failure: bring what it needs, or remove it."
