"""A report for continuous integration: JUnit's XML."""

from __future__ import annotations

import sys
from itertools import groupby

from tinyedge.errors import MissingDependencyError
from tinyedge.reports.report import Report


def render_junit(report: Report) -> str:
    """A test suite for each suite of each run and for the memory, a test case a check.

    Raises:
        MissingDependencyError: junitparser is not installed.
    """
    try:
        from junitparser import Failure, JUnitXml, TestCase, TestSuite
    except ImportError as error:
        raise MissingDependencyError(
            f"JUnit's XML needs junitparser ({error})",
            hint=f"{sys.executable} -m pip install 'tinyedge[report]'",
        ) from error
    xml = JUnitXml("tinyedge")
    several = len(report.runs) > 1
    for run in report.runs:
        for name, checks in groupby(run.checks, key=lambda check: check.suite):
            suite = TestSuite(f"{run.label + ': ' if several else ''}{run.title}: {name}")
            for check in checks:
                case = TestCase(check.name, classname=f"{run.label}.{name}")
                if not check.ok:
                    case.result = [Failure(check.text, check.name)]
                suite.add_testcase(case)
            xml.add_testsuite(suite)
    xml.update_statistics()
    content: bytes = xml.tostring()
    return content.decode()
