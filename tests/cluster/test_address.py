from __future__ import annotations

import os

import pytest

from tinyedge.cluster import ClusterAddress
from tinyedge.errors import UsageError


@pytest.mark.parametrize(
    ("text", "workers", "scheduler"),
    [
        ("local", os.cpu_count(), None),
        ("local:3", 3, None),
        ("tcp://127.0.0.1:8786", None, "tcp://127.0.0.1:8786"),
        ("tls://lab:8786", None, "tls://lab:8786"),
    ],
)
def test_addresses(text: str, workers: int | None, scheduler: str | None) -> None:
    assert ClusterAddress.parse(text) == ClusterAddress(workers, scheduler)


@pytest.mark.parametrize(
    "text",
    ["", "local:", "local:0", "local:x", "tcp://host", "tcp://:1", "http://a:1", "tcp://a:b"],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--cluster is .*allowed: local, local:N, tcp"):
        ClusterAddress.parse(text)
