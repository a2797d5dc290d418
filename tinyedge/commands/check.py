"""Comparing the numpy reference of a model with another implementation."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.cluster.address import ClusterAddress
from tinyedge.commands.arguments import (
    AnyPath,
    Samples,
    one_of,
    optional_path,
    samples_to_run,
    whole,
)
from tinyedge.commands.clusters import cluster_address, opened_cluster
from tinyedge.commands.conversion import imported_model
from tinyedge.commands.notes import noted
from tinyedge.datasets import load_test_set
from tinyedge.errors import ThresholdError, UsageError
from tinyedge.evaluation import witnesses
from tinyedge.evaluation.suites import suite_of
from tinyedge.exporters.converted import load_converted
from tinyedge.graph.graph import Graph
from tinyedge.importers import is_keras_model, is_onnx_model, is_tflite_model
from tinyedge.names import DATASETS, WITNESSES, DatasetName, WitnessName
from tinyedge.progress import NOBODY, Listener
from tinyedge.samples.scaling import ModelInput

_SAMPLES = 100
_FRAMES = 50


@noted()
def check(
    model: AnyPath,
    *,
    with_: WitnessName = "tflite-micro",
    samples: int | None = None,
    seed: int = 0,
    data: Samples | None = None,
    dataset: DatasetName | None = None,
    data_folder: AnyPath | None = None,
    layers: bool = False,
    converted: AnyPath | None = None,
    project: AnyPath | None = None,
    calibration: Samples | None = None,
    input_range: tuple[float, float] | None = None,
    keep_constant_channels: bool = False,
    cluster: str | None = None,
    chunks: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Compares the numpy reference of a model with another implementation, byte by byte.

    Args:
        model: the path of anything that ``tinyedge convert`` takes or writes; ``qkeras`` and
            ``hls4ml`` take a QKeras model.
        with_: the other implementation.
        samples: how many; 100 by default, or all of ``data``.
        seed: of random samples.
        data: samples (n, *input shape), or a file of such, instead of random ones.
        dataset: or the test set of a data set.
        data_folder: where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        layers: compares the output of every layer; ``qkeras``, ``hls4ml``, ``onnxruntime``
            and ``qonnx`` always do.
        converted: the folder that ``tinyedge convert`` wrote, whose graph is compared instead of
            one that is made of ``model`` anew.
        project: the folder of an hls4ml project that is compiled as it is, with ``hls4ml``.
        calibration: real inputs, or a file of such, for activations without a quantizer.
        input_range: smallest and largest input value.
        keep_constant_channels: of a ``.tflite`` file, see ``convert``.
        cluster: ``local:N`` or ``tcp://HOST:PORT``, whose workers compare (``docs/cluster.md``);
            this process by default. Not with ``hls4ml``.
        chunks: folder of finished chunks of a cluster's work; one of the user's cache by default.
        listener: told how far it is.

    Returns:
        ``with``, ``ran`` (``file`` or ``export``), ``samples``, ``seed``, ``inputs``, ``tensors``,
        ``weights``, ``first_difference`` and ``fault``; of a cluster's work ``cluster``.

    Raises:
        ThresholdError: they differ where they must not.
        ClusterError: nobody answers, there is no worker, or one of other versions.
        UsageError: arguments do not go together.
        ModelError, DataError: the model or the samples cannot be read.
        MissingDependencyError, ToolchainError: what the implementation takes is not installed.
    """
    path = Path(model)
    one_of("with_", with_, WITNESSES)
    one_of("dataset", dataset, DATASETS)
    whole("samples", samples, 1)
    whole("seed", seed, 0, 2**32 - 1)
    if layers and with_ == "twin":
        raise UsageError("--layers: the twin shows only its output; name another --with")
    if data is not None and dataset:
        raise UsageError("--data and --dataset exclude each other")
    address = cluster_address(cluster, optional_path(chunks), {"--with hls4ml": with_ == "hls4ml"})
    if address and with_ == "qkeras" and path.is_dir():
        raise UsageError(
            f"{path}: a folder; --cluster takes a model in one file", hint="save it as .h5"
        )
    if project and with_ != "hls4ml":
        raise UsageError("--project goes with --with hls4ml")
    with listener.step(f"reading {path.name}"):
        imported = imported_model(
            path, calibration, input_range, keep_constant_channels=keep_constant_channels
        )
    graph = load_converted(Path(converted)).graph if converted else imported.graph
    if set(graph.tensors) != set(imported.graph.tensors):
        raise UsageError(f"--converted {converted}: of another model than {path}")
    if data is not None:
        given, about = _given_samples(graph, data, samples, listener)
    elif dataset:
        given, about = _test_samples(graph, dataset, data_folder, samples, listener)
    else:
        given = _random_samples(graph, samples or _SAMPLES, seed)
        about = {"seed": seed, "inputs": "random"}
    original = None
    if with_ == "tflite-micro" and is_tflite_model(path) and not layers:
        from tinyedge.tflm.interpreter import Interpreter

        content = path.read_bytes()
        interpreter = Interpreter(content)
        kinds = {interpreter.input_type(position) for position in range(len(graph.inputs))}
        original = content if kinds <= {"int8", "uint8"} else None
    subject = witnesses.Subject(
        graph,
        path if is_keras_model(path) else None,
        imported.origins,
        original,
        Path(project) if project else None,
        path if is_onnx_model(path) else None,
    )
    layers = layers or with_ in ("qkeras", "hls4ml", "onnxruntime", "qonnx")
    place = address, optional_path(chunks)
    found, who = _compared(place, with_, subject, given, listener, layers=layers)
    record = {
        "with": with_,
        "ran": "file" if original else "export",
        "samples": len(given),
        **about,
        "tensors": [dataclasses.asdict(tensor) for tensor in found.tensors],
        "weights": [dataclasses.asdict(layer) for layer in found.weights],
        "first_difference": next((t.name for t in found.tensors if t.differing), None),
        "fault": found.fault,
        **who,
    }
    if found.fault is not None:
        raise ThresholdError(f"numpy and {with_} differ, first in '{found.fault}'").of(record)
    return record


def _compared(
    place: tuple[ClusterAddress | None, Path | None],
    witness: WitnessName,
    subject: witnesses.Subject,
    samples: NDArray[np.int8],
    listener: Listener,
    *,
    layers: bool,
) -> tuple[witnesses.Comparison, dict[str, Any]]:
    """Compares, here or on a cluster; gives the findings, and the cluster's part of the record."""
    address, chunks = place
    label = f"running on {witness}"
    if address:
        with (
            opened_cluster(address, chunks, listener) as engine,
            listener.progress(label, len(samples)) as advance,
        ):
            from tinyedge.cluster.checking import check_on_cluster

            found = check_on_cluster(
                engine, witness, subject, samples, layers=layers, progress=advance
            )
            return found, {"cluster": engine.record()}
    with tempfile.TemporaryDirectory() as folder:
        with listener.step(f"making {witness} ready"):
            opened = witnesses.open_witness(witness, subject, Path(folder))
        with listener.progress(label, len(samples)) as advance:
            return witnesses.compare(opened, samples, layers=layers, progress=advance), {}


def _random_samples(graph: Graph, count: int, seed: int) -> NDArray[np.int8]:
    """Random samples; with states as sequences, of ``_FRAMES`` frames each but for few samples."""
    samples = witnesses.random_inputs(graph, count, seed)
    if not graph.states:
        return samples
    frames = min(count, _FRAMES)
    return samples[: count // frames * frames].reshape(-1, frames, *graph.input_tensor.shape)


def _given_samples(
    graph: Graph,
    data: Samples,
    count: int | None,
    listener: Listener,
) -> tuple[NDArray[np.int8], dict[str, Any]]:
    """The int8 samples of an array or a file, and what is said of them."""
    samples, remarks = samples_to_run(data, ModelInput.of(graph))
    listener.remark(*remarks)
    inputs = "an array" if isinstance(data, np.ndarray) else str(data)
    return samples[:count], {"seed": None, "inputs": inputs}


def _test_samples(
    graph: Graph,
    dataset: DatasetName,
    folder: AnyPath | None,
    count: int | None,
    listener: Listener,
) -> tuple[NDArray[np.int8], dict[str, Any]]:
    """The same of a data set."""
    tensor = graph.input_tensor
    with listener.step(f"loading {dataset}"):
        grey = tensor.shape[-1] == 1
        place = Path(folder) if folder else None
        test_set = load_test_set(dataset, place, channels="grey" if grey else "rgb")
    takes = ModelInput.of(graph)
    suite = suite_of(test_set, dataset, takes, count or _SAMPLES)
    return takes.int8(suite.inputs), {"seed": None, "inputs": suite.settings["data"]}
