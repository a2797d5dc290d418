from __future__ import annotations

import pytest

import tinyedge
from tests.cli.commands import failure, run_json
from tests.commands.options import options, parameters
from tinyedge import errors
from tinyedge.exporters.converted import ConvertedModel

OK = {"version": 1, "status": "ok"}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), {}),
        (("--observe", "--compiler", "zig"), {"observe": True, "compiler": "zig"}),
        (
            ("--protocol", "mlperf", "--mlperf-model", "own", "--mlperf-input", "uint8"),
            {"protocol": "mlperf", "mlperf_model": "own", "mlperf_input": "uint8"},
        ),
    ],
)
@pytest.mark.needs_tool
def test_the_function_gives_what_the_command_prints(
    arguments: tuple[str, ...],
    given: dict[str, object],
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = demo_model.folder
    record = run_json(capsys, "build", folder, "-b", "netduinoplus2", *arguments)
    assert tinyedge.build(folder, board="netduinoplus2", **given) | OK == record  # type: ignore[arg-type]


def test_options_have_the_same_names() -> None:
    assert parameters(tinyedge.build) == options("build")


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("--mlperf-model", "own"), {"mlperf_model": "own"}),
        (("--tflm-lib", "none.a"), {"tflm_lib": "none.a"}),
    ],
)
def test_both_refuse_the_same(
    arguments: tuple[str, ...],
    given: dict[str, object],
    demo_model: ConvertedModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = failure(capsys, 2, "build", demo_model.folder, "-b", "netduinoplus2", *arguments)
    with pytest.raises(errors.UsageError) as raised:
        tinyedge.build(demo_model.folder, board="netduinoplus2", **given)  # type: ignore[arg-type]
    assert str(raised.value) == error["message"]


@pytest.mark.parametrize(
    "given",
    [
        {"compiler": "clang"},
        {"protocol": "morse"},
        {"runtime": "other"},
        {"mlperf_input": "int4"},
        {"tflm_arena": 3},
        {"board": 4},
    ],
)
def test_unknown_names_are_refused(given: dict[str, object], demo_model: ConvertedModel) -> None:
    arguments: dict[str, object] = {"board": "netduinoplus2", **given}
    with pytest.raises(errors.UsageError, match=next(iter(given))):
        tinyedge.build(demo_model.folder, **arguments)  # type: ignore[arg-type]
