"""A report for continuous integration: JUnit's XML."""

from __future__ import annotations

from itertools import groupby

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError
from tinyedge.reports.report import Report


def render_junit(report: Report) -> str:
    """A test suite for each suite of each run and for each memory, a test case a check.

    Raises:
        MissingDependencyError: junitparser is not installed.
    """
    try:
        from junitparser import Failure, JUnitXml, TestCase, TestSuite
    except ImportError as error:
        raise MissingDependencyError(
            f"JUnit's XML needs junitparser ({error})",
            hint=install_hint("report"),
        ) from error
    xml = JUnitXml("tinyedge")
    several = len(report.runs) > 1
    for part in report.parts:
        for name, checks in groupby(part.checks, key=lambda check: check.suite):
            suite = TestSuite(f"{part.label + ': ' if several else ''}{part.title}: {name}")
            for check in checks:
                case = TestCase(check.name, classname=f"{part.label}.{name}")
                if not check.ok:
                    case.result = [Failure(f"{check.text}. What to do: {check.advice}", check.name)]
                suite.add_testcase(case)
            xml.add_testsuite(suite)
    xml.update_statistics()
    content: bytes = xml.tostring()
    return content.decode()
