"""hls4ml's faults themselves: each of these fails once hls4ml no longer has the fault."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importers import keras_models as km
from tinyedge.exporters.hls4ml.environment import hls4ml, silence
from tinyedge.exporters.hls4ml.faults import read_layers, safe_name
from tinyedge.keras.environment import qkeras, tf_keras

pytestmark = pytest.mark.keras

layers = tf_keras.layers


def graph_of(model: Any, folder: Path, io_type: str = "io_parallel", **precision: Any) -> Any:
    """hls4ml's graph of a model that nothing was done to."""
    with silence():
        read, inputs, outputs = read_layers(model)
        config = hls4ml.utils.config.create_config(
            output_dir=str(folder / "project"), project_name="p", backend="Vitis", io_type=io_type
        )
        named = {layer["name"]: {"Precision": {"result": "auto"}} for layer in read}
        for name, given in precision.items():
            named[name] = {"Precision": given}
        config["HLSConfig"] = {
            "Model": {"Precision": "fixed<32,16>", "ReuseFactor": 1, "Strategy": "Latency"},
            "LayerName": named,
        }
        return hls4ml.model.graph.ModelGraph.from_layer_list(config, read, inputs, outputs)


def simulated(graph: Any, samples: np.ndarray, size: int) -> np.ndarray:
    """Outputs (n, size) of a graph; raises CalledProcessError where its code does not compile."""
    with silence():
        graph.write()
    folder = Path(graph.config.get_output_dir())
    subprocess.run(["bash", "build_lib.sh"], cwd=folder, check=True, capture_output=True)
    library = ctypes.CDLL(str(next((folder / "firmware").glob("*.so"))))
    outputs = np.empty((len(samples), size), np.float32)
    for sample, output in zip(np.ascontiguousarray(samples, np.float32), outputs, strict=True):
        library.p_float(
            sample.ctypes.data_as(ctypes.c_void_p), output.ctypes.data_as(ctypes.c_void_p)
        )
    return outputs


def test_its_front_door_takes_keras_2_for_keras_3() -> None:
    model = km.sequential((4,), km.dense(2), km.signed())
    with silence(), pytest.raises(AttributeError):
        hls4ml.converters.convert_from_keras_model(model, backend="Vitis")


def test_it_drops_the_scale_of_depthwise_kernels(tmp_path: Path) -> None:
    """An ordinary convolution's goes into a layer of its own; a depthwise one's nowhere."""

    def kinds(layer: Any) -> list[str]:
        model = km.randomized(km.sequential((6, 6, 2), layer))
        return [each.class_name for each in graph_of(model, tmp_path).get_layers()]

    quantizer = "stochastic_ternary(alpha='auto')"
    convolution = qkeras.QConv2D(2, 3, kernel_quantizer=quantizer, name="conv")
    depthwise = qkeras.QDepthwiseConv2D(3, depthwise_quantizer=quantizer, name="conv")
    assert "ApplyAlpha" in kinds(convolution)
    assert "ApplyAlpha" not in kinds(depthwise)


def test_it_refuses_the_scale_of_separable_kernels(tmp_path: Path) -> None:
    model = km.randomized(km.sequential((6, 6, 2), km.separable(4)))
    with silence(), pytest.raises(TypeError, match="unsupported operand"):
        graph_of(model, tmp_path)


def test_it_folds_normalization_into_ternary_depthwise_kernels(tmp_path: Path) -> None:
    quantizer = "ternary(alpha=1.0, threshold=0.5)"
    depthwise = qkeras.QDepthwiseConv2D(3, depthwise_quantizer=quantizer, name="conv")
    model = km.randomized(
        km.sequential((6, 6, 2), depthwise, layers.BatchNormalization(name="normalization"))
    )
    open_types = [each.name for each in graph_of(model, tmp_path).get_layers()]
    typed = graph_of(model, tmp_path, conv={"result": "fixed<24,12>"}).get_layers()
    assert "normalization" not in open_types
    assert "normalization" in [each.name for each in typed]


def test_it_takes_symmetric_for_nothing() -> None:
    config = hls4ml.utils.config
    types = {
        str(
            config._get_precision_from_quantizer(
                {
                    "class_name": "quantized_bits",
                    "config": {"bits": 8, "integer": 2, "symmetric": symmetric},
                }
            )
        )
        for symmetric in (0, 1)
    }
    assert len(types) == 1


def test_it_allows_no_layer_named_input(tmp_path: Path) -> None:
    inputs = layers.Input((4,), name="input")
    model = tf_keras.Model(inputs, km.dense(2)(inputs))
    with pytest.raises(RuntimeError, match="reserved"):
        graph_of(model, tmp_path)
    assert safe_name("input", ()) == "input_"
    assert safe_name("a/b", {"a_b"}) == "a_b_"


def test_it_pads_the_maximum_of_unsigned_values_with_half_their_range(tmp_path: Path) -> None:
    inputs = layers.Input((3, 3, 1), name="x")
    pool = layers.MaxPooling2D(2, 2, padding="same", name="pool")
    types = {"result": "ufixed<8,2>", "accum": "ufixed<8,2>"}
    model = tf_keras.Model(inputs, pool(inputs))
    graph = graph_of(model, tmp_path, x={"result": "ufixed<8,2>"}, pool=types)
    found = simulated(graph, np.zeros((1, 3, 3, 1)), 4)
    assert found.max() == 2.0


def test_its_streams_stop_at_padded_pooling(tmp_path: Path) -> None:
    """It writes code for padding whose assertion there is none."""
    inputs = layers.Input((3, 3, 1), name="x")
    pool = layers.AveragePooling2D(2, 2, padding="same", name="pool")
    graph = graph_of(tf_keras.Model(inputs, pool(inputs)), tmp_path, "io_stream")
    with silence():
        graph.write()
    code = Path(graph.config.get_output_dir()) / "firmware"
    config = (code / "parameters.h").read_text()
    assert "pad_bottom = 1" in config
    assert (
        "assert(CONFIG_T::pad_top == 0"
        in (code / "nnet_utils" / "nnet_pooling_stream.h").read_text()
    )


def test_it_takes_a_dilation_for_nothing() -> None:
    layer = qkeras.QConv2D(
        2, 3, dilation_rate=2, kernel_quantizer="ternary(alpha=1.0)", name="wide"
    )
    model = km.sequential((9, 9, 1), layer)
    read = next(each for each in read_layers(model)[0] if each["name"] == "wide")
    assert model.output_shape[1] == 5
    assert read["out_height"] == 7


def test_its_code_stops_at_a_depth_multiplier(tmp_path: Path) -> None:
    layer = qkeras.QDepthwiseConv2D(
        3, depth_multiplier=2, depthwise_quantizer="ternary(alpha=1.0)", name="twice"
    )
    graph = graph_of(km.sequential((6, 6, 2), layer), tmp_path)
    with silence():
        graph.write()
    folder = Path(graph.config.get_output_dir()) / "firmware"
    assert "n_filt = 4" in (folder / "parameters.h").read_text()
    code = (folder / "nnet_utils" / "nnet_sepconv2d_latency.h").read_text()
    assert "only a depth multiplier of 1" in code
