"""The rule of skips.py, tried on a small project of its own."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPPING_TEST = """
import pytest

@pytest.mark.skipif(True, reason="no database here")
def test_something(): ...

@pytest.mark.xfail
def test_known(): assert False
"""
SKIPPING_MODULE = """
import pytest

pytest.importorskip("no_such_module")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest((Path(__file__).parent / "skips.py").read_text())
    pytester.makepyprojecttoml("[tool.pytest]\nminversion = '9'")
    return pytester


def test_in_ci_a_skipped_test_is_a_failure_that_says_why(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(SKIPPING_TEST)

    result = project.runpytest_subprocess()

    result.assert_outcomes(errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*no database here*", "*With CI=true a skipped test is a failure*"])


def test_in_ci_a_module_that_skips_itself_is_a_failure(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    project.makepyfile(SKIPPING_MODULE)

    result = project.runpytest_subprocess()

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*With CI=true a skipped test is a failure*"])


def test_elsewhere_a_skip_stays_a_skip(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    project.makepyfile(SKIPPING_TEST)

    result = project.runpytest_subprocess()

    result.assert_outcomes(skipped=1, xfailed=1)
