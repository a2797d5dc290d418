"""The generated C on this machine against the numpy reference."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.draws import examples, some_of
from tests.exporters.options import OPTIONS
from tests.firmware.sanitizers import run_sanitized
from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference

pytestmark = pytest.mark.needs_tool


@given(st.integers(0, 2**32 - 1), st.sampled_from(OPTIONS))
@examples(150)
def test_random_graphs_are_bit_exact(
    tmp_path_factory: pytest.TempPathFactory, seed: int, options: CodeOptions
) -> None:
    built = RandomGraph(seed, all_kinds=bool(seed % 2))
    folder = tmp_path_factory.mktemp("twin")
    model = write_converted(built.graph, folder, "test", options=options)
    samples = built.inputs(12)
    expected = reference.run(built.graph, samples)
    assert np.array_equal(Twin(model).run(samples), expected)


def test_random_graphs_cover_every_operator_and_do_not_all_saturate() -> None:
    """The test above rests on this."""
    kinds, distinct = set(), []
    for seed in range(150):
        built = RandomGraph(seed, all_kinds=bool(seed % 2))
        kinds |= {type(operator).__name__ for operator in built.graph.operators}
        distinct.append(len(np.unique(reference.run(built.graph, built.inputs(12)))))
    from tinyedge.graph.operators import OPERATORS

    # test_recurrent.py, test_results.py, test_inputs.py and test_tflite_operators.py have these.
    assert set(OPERATORS) - kinds <= {"Join", "Part", "ArgMax", "Lstm", "Svdf", "SvdfNarrow"}
    assert kinds <= set(OPERATORS)
    assert np.median(distinct) > 10


@pytest.mark.slow
def test_demo_is_clean_under_sanitizers(
    demo_model: ConvertedModel, demo_samples: np.ndarray, tmp_path: Path
) -> None:
    expected = reference.run(demo_model.graph, demo_samples)
    assert np.array_equal(run_sanitized(demo_model, demo_samples, tmp_path / "demo"), expected)


@pytest.mark.parametrize("seed", some_of(range(1000, 1030)))
def test_random_graphs_are_clean_under_sanitizers(seed: int, tmp_path: Path) -> None:
    built = RandomGraph(seed, all_kinds=bool(seed % 2))
    options = OPTIONS[seed % len(OPTIONS)]
    model = write_converted(built.graph, tmp_path / "model", "test", options=options)
    samples = built.inputs(12)
    expected = reference.run(built.graph, samples)
    assert np.array_equal(run_sanitized(model, samples, tmp_path / "program"), expected)


def test_sanitized_program_notices_a_fault(demo_model: ConvertedModel, tmp_path: Path) -> None:
    """A model whose arena is too small must not pass."""
    header = (demo_model.folder / "model.h").read_text()
    size = demo_model.arena_bytes
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("model.c", "graph.npz", "model.json"):
        (broken / name).write_bytes((demo_model.folder / name).read_bytes())
    changed = header.replace(f"ARENA_SIZE {size}", f"ARENA_SIZE {size // 2}")
    assert changed != header
    (broken / "model.h").write_text(changed)
    model = ConvertedModel(broken, demo_model.graph, demo_model.manifest)
    samples = np.zeros((1, 28, 28, 1), np.int8)
    with pytest.raises(AssertionError, match=r"AddressSanitizer|runtime error"):
        run_sanitized(model, samples, tmp_path / "program")


def test_twin_of_the_demo_is_bit_exact(
    demo_model: ConvertedModel, demo_samples: np.ndarray
) -> None:
    expected = reference.run(demo_model.graph, demo_samples)
    assert np.array_equal(Twin(demo_model).run(demo_samples), expected)


CANARY = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { fclose(fopen("%s", "w")); }
"""


def test_a_library_that_was_planted_is_not_loaded(tmp_path: Path) -> None:
    """Not under the name of the right one either, nor with a seal of another library."""
    built = RandomGraph(3)
    model = write_converted(built.graph, tmp_path / "model", "test")
    samples = built.inputs(3)
    expected = Twin(model).run(samples)
    (library,) = (model.folder / "twin").glob("model-*.so")
    source = tmp_path / "planted.c"
    source.write_text(CANARY % (tmp_path / "canary"))
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    planted = library.read_bytes()
    assert np.array_equal(Twin(model).run(samples), expected)
    library.write_bytes(planted)
    library.with_suffix(".seal").unlink()
    assert np.array_equal(Twin(model, observe=True).run(samples), expected)
    assert np.array_equal(Twin(model).run(samples), expected)
    assert not (tmp_path / "canary").exists()


def test_the_library_of_another_user_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_converted(RandomGraph(3).graph, tmp_path / "model", "test")
    Twin(model)
    (seal,) = (model.folder / "twin").glob("*.seal")
    of_another = seal.read_text()
    Twin(model)
    assert seal.read_text() == of_another
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Twin(model)
    assert seal.read_text() != of_another


def test_headers_beside_the_model_are_not_included(tmp_path: Path) -> None:
    built = RandomGraph(3)
    model = write_converted(built.graph, tmp_path / "model", "test")
    for name in ("te_runtime.h", "te_flash.h", "stdint.h"):
        (model.folder / name).write_text('#error "planted"\n')
    samples = built.inputs(3)
    assert np.array_equal(Twin(model).run(samples), reference.run(built.graph, samples))
