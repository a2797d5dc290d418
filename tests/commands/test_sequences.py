"""Sequences of frames through a model with states, as a user runs and checks them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinyedge
from tests.graph.streaming import frames_of, streaming_graph
from tests.link.native import dense_model
from tinyedge.commands.run import run
from tinyedge.errors import DataError
from tinyedge.evaluation.compare import evaluate_suite
from tinyedge.evaluation.executors import Progress, Run
from tinyedge.evaluation.suites import suite_of_arrays
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.tensors import Tensor
from tinyedge.names import PlaceName

FRAMES = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(streaming_graph(), tmp_path_factory.mktemp("streaming") / "out", "test")


@pytest.fixture
def sequences(model: ConvertedModel) -> np.ndarray:
    return frames_of(model.graph, 6 * FRAMES).reshape(6, FRAMES, 5)


@pytest.mark.parametrize("place", ["numpy", "twin", "tflite-micro"])
def test_labels_are_those_of_last_frames_and_all_frames_are_compared(
    model: ConvertedModel, sequences: np.ndarray, tmp_path: Path, place: PlaceName
) -> None:
    expected = reference.run(model.graph, sequences)
    found = expected[:, -1].argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=sequences, y=(found + (np.arange(6) == 2)) % 3)
    record = run(model.folder, on=place, data=tmp_path / "data.npz", logits=tmp_path / "logits.npy")
    [suite] = record["suites"]
    assert suite["samples"] == 6
    assert suite["accuracy"]["device"] == pytest.approx(5 / 6)
    assert suite["settings"]["frames"] == FRAMES
    assert suite["mismatched_logits"] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)


def test_logits_of_suites_of_several_lengths_keep_the_outputs_shape(tmp_path: Path) -> None:
    """Frame by frame; of an output that has two axes."""
    graph = streaming_graph()
    square = Tensor("square", (3, 1), graph.output_tensor.quantization)
    last = ops.Reshape(name="square", inputs=("dense",), output="square", shape=(3, 1))
    operators, tensors = (*graph.operators, last), {**graph.tensors, "square": square}
    graph = replace(graph, tensors=tensors, operators=operators, output="square")
    folder = write_converted(graph, tmp_path / "out", "test").folder
    expected = []
    for length in (2, 7):
        x = frames_of(graph, 4 * length, seed=length).reshape(4, length, 5)
        np.savez(tmp_path / f"{length}.npz", x=x, y=np.zeros(4, np.int64))
        expected.append(reference.run(graph, x).reshape(-1, 3, 1))
    run(
        folder,
        on="numpy",
        data=[tmp_path / "2.npz", tmp_path / "7.npz"],
        logits=tmp_path / "y.npy",
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.concatenate(expected))


def test_an_earlier_frame_that_differs_is_told(
    model: ConvertedModel, sequences: np.ndarray
) -> None:
    def executor(samples: np.ndarray, progress: Progress | None = None) -> Run:
        assert progress is None
        logits = reference.run(model.graph, samples)
        logits[3, 1, 2] ^= 1
        return Run(logits)

    suite = suite_of_arrays(sequences, np.zeros(6, np.int64))
    result = evaluate_suite(model, suite, executor)
    assert np.flatnonzero(result.differs.any(axis=1)).tolist() == [3]
    assert result.run.logits.shape == (6, 3)


def test_checked_in_sequences(model: ConvertedModel, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", frames_of(model.graph, 40).reshape(2, 20, 5))
    for given in ({"samples": 200}, {"data": tmp_path / "x.npy"}):
        for layers in (False, True):
            record = tinyedge.check(model.tflite, with_="tflite-micro", layers=layers, **given)
            assert record["fault"] is None
            assert record["tensors"][-1]["values"] == 3 * (200 if "samples" in given else 40)


def test_no_frames_and_models_without_states_are_refused(
    model: ConvertedModel, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 0, 5), np.int8), y=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="sequences of no frames"):
        run(model.folder, on="numpy", data=tmp_path / "data.npz")
    other = dense_model(tmp_path / "dense", 5)
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 4, 5), np.int8), y=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="the model takes"):
        run(other.folder, on="numpy", data=tmp_path / "data.npz")
