"""A small network with weights of every width, for boards' self-test."""

from __future__ import annotations

from tinyedge.graph.graph import Graph
from tinyedge.models.benchmark import NetworkBuilder


def selftest_network(*, small: bool = False) -> Graph:
    """Convolutions, depthwise ones, a sum, a mean and matrix products, with 1, 2, 4 and 8 bits.

    Weights are random, and always the same.

    Args:
        small: for boards of 2 KB of RAM: an input of (4, 4, 2) in place of (6, 6, 4).
    """
    width = 4 if small else 8
    net = NetworkBuilder("selftest", (4, 4, 2) if small else (6, 6, 4))
    first = net.conv("input", width, (3, 3), 8)
    at = net.conv(first, width, (1, 1), 2)
    at = net.depthwise(at, (3, 3), 8)
    at = net.conv(at, width, (3, 3), 2)
    at = net.conv(at, width, (3, 3), 1)
    at = net.conv(at, width, (1, 1), 4)
    at = net.add(first, at)
    at = net.depthwise(at, (3, 3), 2, (2, 2))
    at = net.mean(net.conv(at, 12, (1, 1), 8))
    for outputs, bits in ((16, 2), (12, 4), (12, 1), (5, 8)):
        at = net.fully_connected(at, outputs, bits, relu=outputs > 5)
    return net.graph(at)
