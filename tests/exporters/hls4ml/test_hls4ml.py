from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.records import as_printed
from tests.conftest import require
from tests.exporters.hls4ml import networks
from tests.importers import keras_models as km
from tinyedge.errors import ModelError, ToolchainError, UsageError
from tinyedge.evaluation.witnesses import Comparison, Subject, compare, open_witness, random_inputs
from tinyedge.exporters.converted import write_converted
from tinyedge.exporters.hls4ml.project import Project, read_project, write_project
from tinyedge.exporters.hls4ml.reports import read_vendor_report
from tinyedge.exporters.hls4ml.resources import estimate_resources
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.importers import ImportResult, import_model
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.naming import in_markdown

pytestmark = pytest.mark.keras

layers = tf_keras.layers


@pytest.fixture(autouse=True)
def _cpp_compiler() -> None:
    require([tool for tool in ("g++",) if shutil.which(tool)], "g++")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return km.save(
        km.randomized(networks.everything()), tmp_path_factory.mktemp("everything") / "model.h5"
    )


@pytest.fixture(scope="module")
def imported(model: Path) -> ImportResult:
    return import_model(model)


@pytest.fixture(scope="module")
def project(model: Path, imported: ImportResult, tmp_path_factory: Any) -> Project:
    folder = tmp_path_factory.mktemp("project") / "written"
    return write_project(model, imported, folder, io_type="stream")


def witnessed(
    model: Path, imported: ImportResult, folder: Path, project: Path | None = None, count: int = 60
) -> Comparison:
    subject = Subject(imported.graph, model, imported.origins, project=project)
    folder.mkdir()
    opened = open_witness("hls4ml", subject, folder)
    return compare(opened, random_inputs(imported.graph, count, seed=1), layers=True)


@pytest.mark.slow  # docs/hls4ml.md does the same
def test_every_layer_gives_the_bytes_of_the_integer_graph(
    model: Path, imported: ImportResult, project: Project, tmp_path: Path
) -> None:
    found = witnessed(model, imported, tmp_path / "build", project.folder)
    assert {tensor.name: tensor.differing for tensor in found.tensors if tensor.differing} == {}
    assert found.weights == []
    assert found.fault is None
    seen = {tensor.name for tensor in found.tensors}
    weighted = [op.output for op in imported.graph.operators if isinstance(op, ops.Weighted)]
    assert seen >= set(weighted)
    assert found.tensors[-1].name == imported.graph.output


@pytest.mark.slow
def test_dilation_and_depth_multiplier(tmp_path: Path) -> None:
    """hls4ml has neither: the kernels get the zeros."""
    model = km.sequential(
        (9, 8, 2),
        km.conv(3, dilation_rate=2, quantizer="binary", padding="same"),
        km.relu(),
        km.depthwise(depth_multiplier=2, dilation_rate=(1, 2), quantizer="bits8_auto"),
        layers.ReLU(1.5, name="bounded"),
        km.conv(2, 1),
        km.signed(8, 3),
    )
    path = km.save(km.randomized(model), tmp_path / "model.h5")
    imported = import_model(path)
    found = witnessed(path, imported, tmp_path / "build")
    assert sum(tensor.differing for tensor in found.tensors) == 0
    assert (found.weights, len(found.tensors)) == ([], 3)


@pytest.mark.slow
def test_averages_of_few_bits(tmp_path: Path) -> None:
    """Averages windows, on finer steps than their values, and the whole map, as a mean."""
    model = km.sequential(
        (8, 8, 2),
        km.conv(3, 1),
        km.relu(3, 1),
        layers.AveragePooling2D(2, name="windows"),
        km.conv(4, 1),
        km.relu(4, 1),
        layers.AveragePooling2D(4, name="whole"),
        layers.Flatten(),
        km.dense(3),
        km.signed(8, 3),
    )
    path = km.save(km.randomized(model), tmp_path / "model.h5")
    imported = import_model(path)
    found = witnessed(path, imported, tmp_path / "build", count=200)
    assert {tensor.name: tensor.differing for tensor in found.tensors if tensor.differing} == {}
    assert "windows" in {tensor.name for tensor in found.tensors}


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "io_type"), [("vivado", "parallel"), ("vitis", "parallel")])
def test_powers_of_two_in_parallel(backend: Any, io_type: Any, tmp_path: Path) -> None:
    path = km.save(km.randomized(networks.power_of_two()), tmp_path / "model.h5")
    imported = import_model(path)
    arithmetic: Any = "plain" if backend == "vivado" else "exact"
    written = write_project(
        path,
        imported,
        tmp_path / "written",
        backend=backend,
        io_type=io_type,
        arithmetic=arithmetic,
        reuse_factor=1 if backend == "vitis" else 2,
    )
    found = witnessed(path, imported, tmp_path / "build", written.folder, count=200)
    assert found.weights == []
    if arithmetic == "exact":
        assert sum(tensor.differing for tensor in found.tensors) == 0
    else:  # one rounding instead of two moves halves
        assert all(tensor.largest <= 2 for tensor in found.tensors)
        assert found.tensors[-1].agreement > 0.9


@pytest.mark.slow
def test_a_changed_weight_is_found_in_its_layer(
    model: Path, imported: ImportResult, project: Project, tmp_path: Path
) -> None:
    """On hls4ml's side: another weight in the files of one layer."""
    changed = tmp_path / "changed"
    shutil.copytree(project.folder, changed)
    layer = next(layer for layer in project.layers if layer.codes_of == "separable/depthwise")
    path = changed / "firmware" / "weights" / f"{layer.weights['weight'].file}.txt"
    values = path.read_text().split(", ")
    values[4] = str(int(float(values[4])) - 30 if float(values[4]) > 0 else 90)
    path.write_text(", ".join(values))
    found = witnessed(model, imported, tmp_path / "build", changed)
    assert found.fault == "separable/depthwise"
    assert [(each.name, each.differing) for each in found.weights] == [("separable/depthwise", 1)]
    index, ours, theirs = found.weights[0].examples[0]
    assert len(index) == 3
    assert ours != theirs


@pytest.mark.slow
def test_check_names_the_layer_of_a_changed_graph(
    model: Path,
    imported: ImportResult,
    project: Project,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On our side: another weight in the saved graph; by the command line, with both witnesses."""
    folder = tmp_path / "converted"
    run_json(capsys, "convert", model, "-o", folder)
    arrays = dict(np.load(folder / "graph.npz"))
    operators = [type(op).__name__ for op in imported.graph.operators]
    position = operators.index("FullyConnected")
    codes = arrays[f"{position}/codes"].copy()
    codes[0, 0] = -codes[0, 0]
    changed = tmp_path / "graph.npz"
    np.savez(changed, **arrays | {f"{position}/codes": codes})
    write_converted(Graph.load(changed), folder, "test")
    name = imported.graph.operators[position].output
    common = ("--converted", folder, "--samples", "20", "--json")
    for witness in (("hls4ml", "--project", project.folder), ("qkeras",)):
        code, out, err = run_cli(capsys, "check", model, "--with", *witness, *common)
        assert code == 8, err
        assert json.loads(out)["fault"] == name
    message = failure(capsys, 2, "check", model, "--with", "twin", "--project", folder)["message"]
    assert "--project" in message


def test_qkeras_agrees(model: Path, imported: ImportResult, tmp_path: Path) -> None:
    opened = open_witness("qkeras", Subject(imported.graph, model, imported.origins), tmp_path)
    found = compare(opened, random_inputs(imported.graph, 200, seed=2), layers=True)
    assert found.fault is None
    assert {"first", "depthwise", "sum"} <= {tensor.name for tensor in found.tensors}
    assert all((tensor.own_largest or 0) <= 1 for tensor in found.tensors)
    with pytest.raises(UsageError, match="QKeras model"):
        open_witness("qkeras", Subject(imported.graph), tmp_path)


def test_the_record_is_read_as_it_was_written(project: Project, imported: ImportResult) -> None:
    assert read_project(project.folder) == project
    assert project.model["hash"] == imported.graph.hash
    readme = (project.folder / "README.md").read_text()
    assert all(f"| {in_markdown(layer.name)} |" in readme for layer in project.layers)
    config = (project.folder / "hls4ml_config.yml").read_text()
    assert f"OutputDir: {project.folder}\n" in config
    codes = {layer.codes_of: layer.types["weight"] for layer in project.layers if layer.codes_of}
    assert codes["separable/pointwise"] == "int<2>"
    assert codes["classifier"] == "uint<1>"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[" * 100_000, "JSON"),
        ('{"version": 1, "layers": ' + "[" * 30 + "]" * 30 + "}", "layers"),
        ('{"version": 1, "layers": ' + "[" * 40 + "]" * 40 + "}", "32 levels"),
        ('{"version": 1, "notes": ["\\u001b[2J"]}', "control characters"),
        ('{"version": 1, "resources": [{"name": "a", "weights": "7"}]}', "resources.0.weights"),
        ('{"version": 1, "settings": {"backend": "gpu"}}', "settings.backend"),
        ('{"version": 1, "settings": {"reuse_factor": 0}}', "settings.reuse_factor"),
        ("{}", "another version"),
    ],
)
def test_a_record_that_nobody_wrote_is_one_line(
    content: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tinyedge.json").write_text(content)
    message = failure(capsys, 3, "resources", tmp_path)["message"]
    assert message.startswith(f"{tmp_path / 'tinyedge.json'}: ")
    assert named in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: layers.ReLU(1.5, name="bounded"), "'bounded'.*maximum"),
        (
            lambda: layers.AveragePooling2D(2, padding="same", name="mixed"),
            "'mixed'.*padding in streams",
        ),
        (lambda: layers.MaxPooling2D(3, 2, name="overlapping"), "'overlapping'.*strides"),
        (
            lambda: layers.MaxPooling2D(2, padding="same", name="negative"),
            "'negative'.*may be negative",
        ),
    ],
)
def test_what_hls4ml_cannot_do_is_refused_before_anything_is_written(
    make: Any, named: str, tmp_path: Path
) -> None:
    model = km.sequential((9, 9, 3), km.conv(), km.signed(), make(), km.signed(8, 1), km.conv(2))
    path = km.save(km.randomized(model), tmp_path / "model.h5")
    with pytest.raises(ModelError, match=named):
        write_project(path, import_model(path), tmp_path / "written", io_type="stream")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.h5"]


def test_a_maximum_inside_a_grid_is_refused(tmp_path: Path) -> None:
    """Behind a quantizer a ReLU keeps its grid, whose top its maximum then is not."""
    model = km.sequential((9, 9, 3), km.conv(), km.signed(), layers.ReLU(0.5, name="cut"))
    path = km.save(km.randomized(model), tmp_path / "model.h5")
    with pytest.raises(ModelError, match=r"'cut'.*maximum"):
        write_project(path, import_model(path), tmp_path / "written")


def test_large_images_in_parallel_are_remarked_on(tmp_path: Path) -> None:
    model = km.sequential((32, 32, 3), km.conv(4, padding="same"), km.signed(), km.conv(2))
    path = km.save(km.randomized(model), tmp_path / "model.h5")
    imported = import_model(path)
    assert any(
        "--io stream" in note for note in write_project(path, imported, tmp_path / "p").notes
    )
    streamed = write_project(path, imported, tmp_path / "s", io_type="stream")
    assert streamed.notes == imported.notes


def test_shared_layers_are_refused(tmp_path: Path) -> None:
    inputs = layers.Input((4,))
    shared = qkeras.QDense(4, kernel_quantizer="ternary(alpha='auto')", name="shared")
    x = km.signed()(shared(km.signed()(shared(inputs))))
    path = km.save(km.randomized(tf_keras.Model(inputs, x)), tmp_path / "model.h5")
    with pytest.raises(ModelError, match=r"'shared'.*more than once"):
        write_project(path, import_model(path), tmp_path / "written")


def test_resources_are_counted_from_the_weights(imported: ImportResult) -> None:
    found = {layer.name: layer for layer in estimate_resources(imported.graph)}
    for operator in imported.graph.operators:
        if isinstance(operator, ops.Weighted):
            layer = found[operator.output]
            assert layer.weights == operator.weights.codes.size
            assert layer.weight_bits == operator.weights.bits * operator.weights.codes.size
            assert layer.multipliers <= layer.multipliers_8bit == layer.weights - layer.zeros
    assert found["separable/pointwise"].multipliers == 0
    assert found["first"].multipliers > 0
    assert found["first"].line_buffer_bits == 2 * 9 * 2 * 8
    assert found["classifier"].adders == 5 * 7


def test_vendor_reports_are_read(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "synthesized"
    shutil.copytree(project.folder, folder)
    assert read_vendor_report(folder) is None
    report = folder / "model_prj" / "solution1" / "syn" / "report" / "model_csynth.xml"
    report.parent.mkdir(parents=True)
    (folder / "model_prj" / "hls.app").write_text(
        '<AutoPilot><solutions><solution name="solution1"/></solutions></AutoPilot>'
    )
    report.write_text(
        "<profile><UserAssignments><TargetClockPeriod>5.00</TargetClockPeriod></UserAssignments>"
        "<PerformanceEstimates><SummaryOfTimingAnalysis><EstimatedClockPeriod>3.65"
        "</EstimatedClockPeriod></SummaryOfTimingAnalysis><SummaryOfOverallLatency>"
        "<Best-caseLatency>120</Best-caseLatency><Worst-caseLatency>121</Worst-caseLatency>"
        "<Interval-min>64</Interval-min><Interval-max>65</Interval-max></SummaryOfOverallLatency>"
        "</PerformanceEstimates><AreaEstimates><Resources><DSP>7</DSP><LUT>999</LUT></Resources>"
        "<AvailableResources><DSP>12288</DSP></AvailableResources></AreaEstimates></profile>"
    )
    found = read_vendor_report(folder)
    assert found
    assert found["CSynthesisReport"]["DSP"] == "7"
    assert found["CSynthesisReport"]["WorstLatency"] == "121"
    report.write_text("<profile>")
    with pytest.raises(ModelError, match="cannot be read"):
        read_vendor_report(folder)


def test_commands(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "fpga"
    arguments = ("--to", "hls4ml", "-o", folder, "--backend", "vivado", "--io", "stream")
    record = run_json(capsys, "convert", model, *arguments)["project"]
    assert record["settings"]["backend"] == "vivado"
    shown = run_json(capsys, "resources", folder)
    assert as_printed(tinyedge.resources(folder)) == shown
    assert shown["estimates"] == record["resources"]
    assert shown["vendor"] is None
    assert "hls4ml project" in failure(capsys, 3, "resources", tmp_path)["message"]
    assert (
        "--backend"
        in failure(capsys, 2, "convert", model, "-o", folder, "--backend", "vitis")["message"]
    )
    graph = ("convert", tmp_path / "x.tflite", "--to", "hls4ml", "-o", folder)
    assert failure(capsys, 3, *graph)["code"] == "model"


@pytest.mark.slow
def test_a_project_that_somebody_changed_is_one_line(
    model: Path, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(project.folder, broken)
    (broken / "firmware" / "model.cpp").write_text("#error no\n")
    check = ("check", model, "--with", "hls4ml", "--samples", "3", "--project")
    assert "g++ fails" in failure(capsys, 5, *check, broken)["message"]
    code = (project.folder / "firmware" / "model.cpp").read_text()
    (broken / "firmware" / "model.cpp").write_text(
        code.replace("// c", 'assert(!"stopped here"); // c', 1).replace(
            "#include", "#include <cassert>\n#include", 1
        )
    )
    assert "stopped here" in failure(capsys, 5, *check, broken)["message"]
    (broken / "tinyedge.json").write_text("{}")
    assert "another version" in failure(capsys, 3, *check, broken)["message"]


def test_a_missing_compiler_is_named(
    model: Path, project: Project, imported: ImportResult, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"g\+\+"):
        witnessed(model, imported, tmp_path / "build", project.folder)
