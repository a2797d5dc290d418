"""Pooling, means and other numbers of rows and columns."""

from __future__ import annotations

import math

from tinyedge.errors import ModelError
from tinyedge.graph import operators as ops
from tinyedge.graph.tensors import Tensor
from tinyedge.importers.tflite.builder import Builder
from tinyedge.importers.tflite.common import (
    axis_of,
    constant_numbers,
    fused_clamp,
    transposed,
    window_of,
)
from tinyedge.importers.tflite.options import options_of
from tinyedge.importers.tflite.reader import TfliteOperator
from tinyedge.importers.tflite.registry import Handler, handles


def _pool2d(kind: type[ops.Pool2D]) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, "Pool2DOptions")
        source = builder.source(operator)
        kernel = (options.FilterHeight(), options.FilterWidth())
        builder.finish(
            operator,
            kind,
            source.name,
            kernel=kernel,
            clamp=fused_clamp(operator, options, builder.target(operator)),
            **window_of(operator, options, source, kernel, (1, 1)),
        )

    return handler


handles("AVERAGE_POOL_2D")(_pool2d(ops.AveragePool2D))


handles("MAX_POOL_2D")(_pool2d(ops.MaxPool2D))


def _reduced_axes(operator: TfliteOperator, source: Tensor) -> list[int]:
    """The axes of the graph that a reduction goes over, sorted; -1 for the batch."""
    options_of(operator, "ReducerOptions")
    rank = len(source.shape) + 1
    return sorted(
        {axis_of(operator, int(axis), rank) for axis in constant_numbers(operator, 1).ravel()}
    )


@handles("MEAN")
def _mean(builder: Builder, operator: TfliteOperator) -> None:
    """Over any axes but the batch; they are brought to the front where others lie before them."""
    source = builder.source(operator)
    axes = _reduced_axes(operator, source)
    if not axes or axes[0] < 0:
        raise ModelError(f"{operator}: mean over {[axis + 1 for axis in axes]} of {source.shape}")
    together = axes == list(range(axes[0], axes[-1] + 1))
    if not together or math.prod(source.shape[: axes[0]]) != 1:
        kept = [axis for axis in range(len(source.shape)) if axis not in axes]
        source = transposed(builder, source, (*axes, *kept))
        axes = list(range(len(axes)))
    cells = math.prod(source.shape[axes[0] : axes[-1] + 1])
    channels = math.prod(source.shape[axes[-1] + 1 :])
    plain = len(source.shape) == 3 and axes == [0, 1]
    given = source if plain else builder.reshaped(source, (cells, 1, channels))
    builder.finish_reshaped(operator, (1, 1, channels), ops.Mean, given.name)


@handles("REDUCE_MAX")
def _reduce_max(builder: Builder, operator: TfliteOperator) -> None:
    """Over rows and columns, which is a pooling with the whole input as its window."""
    source = builder.source(operator)
    axes = _reduced_axes(operator, source)
    if len(source.shape) != 3 or axes != [0, 1]:
        shown = [axis + 1 for axis in axes]
        raise ModelError(f"{operator}: maximum over {shown} of {source.shape}")
    height, width, channels = source.shape
    builder.finish_reshaped(
        operator,
        (1, 1, channels),
        ops.MaxPool2D,
        source.name,
        kernel=(height, width),
        stride=(1, 1),
    )


def _resize(kind: type[ops.Resize], table: str) -> Handler:
    def handler(builder: Builder, operator: TfliteOperator) -> None:
        options = options_of(operator, table)
        size = constant_numbers(operator, 1).ravel().tolist()
        if len(size) != 2:
            raise ModelError(f"{operator}: a size of {size}")
        builder.finish(
            operator,
            kind,
            builder.source(operator).name,
            size=(size[0], size[1]),
            align_corners=bool(options.AlignCorners()),
            half_pixel=bool(options.HalfPixelCenters()),
        )

    return handler


handles("RESIZE_NEAREST_NEIGHBOR")(_resize(ops.ResizeNearest, "ResizeNearestNeighborOptions"))


handles("RESIZE_BILINEAR")(_resize(ops.ResizeBilinear, "ResizeBilinearOptions"))
