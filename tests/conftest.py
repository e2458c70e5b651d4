"""What holds for every test: how patient it is, on which catalog it runs, what is told of it at the end."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests import databases

pytest_plugins = ["tests.skips"]
pytest.register_assert_rewrite("tests.contracts")

# A busy machine pauses for longer than any deadline of an example.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

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
