"""Reports of distributed runs say who has computed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.reports import runs
from tinyedge.reports.html import render_html
from tinyedge.reports.markdown import render_markdown
from tinyedge.reports.report import load_report

OLD = Path(runs.__file__).with_name("data") / "report-0.1.0.json"


def test_workers_are_named_with_their_versions(tmp_path: Path) -> None:
    content = json.loads(OLD.read_text(encoding="utf-8"))
    worker = {"worker": "lab <3>, process 7", "chunks": 2, "samples": 1234, "seconds": 0.5}
    worker["versions"] = {"tinyedge": "0.1.0 abc"}
    content["cluster"] = {"address": "tcp://lab:8786", "seconds": 1.0, "chunks_computed": 2}
    content["cluster"] |= {"chunks_kept": 0, "failures": 0, "workers": [worker]}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    report = load_report([path])
    page, text = render_html(report), render_markdown(report)
    assert "lab &lt;3&gt;, process 7" in page
    for shown in (page, text):
        assert "1,234" in shown
        assert "tinyedge 0.1.0 abc" in shown
    plain = load_report([OLD])
    assert "Workers" not in render_html(plain)
