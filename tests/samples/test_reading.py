import io
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinyedge.errors import DataError
from tinyedge.graph.tensors import Quantization
from tinyedge.samples.reading import ArrayFile, array_samples, input_samples, read_calibration
from tinyedge.samples.scaling import ModelInput

TAKES = ModelInput((4, 4, 1), Quantization(1 / 255, -128), 10)


def claiming(path: Path, shape: tuple[int, ...]) -> None:
    """A small file whose header asks for an array of bytes of any shape."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(2**20))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_samples_are_read(suffix: str, tmp_path: Path) -> None:
    path, x = tmp_path / f"x.{suffix}", np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    np.save(path, x) if suffix == "npy" else np.savez_compressed(path, inputs=x, other=x)
    samples, remarks = input_samples(path, TAKES)
    np.testing.assert_array_equal(samples[..., 0], x.astype(np.int16) - 128)
    assert remarks == [f"{path}: pixels from 0 to 255 stand for 0 to 1"]


@pytest.mark.parametrize("shape", [(1_900_000_000,), (2_000, 1_000, 1_000, 1), (2**27, 4, 4)])
def test_headers_are_compared_before_data_are_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    claiming(path, shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"of shape|bytes claim to hold"):
        input_samples(path, TAKES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_sample_that_is_not_finite_is_named(tmp_path: Path) -> None:
    x = np.zeros((5, 4, 4, 1), np.float32)
    x[3, 1, 2, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    for read in (lambda path: input_samples(path, TAKES), read_calibration):
        with pytest.raises(DataError, match=r"x.npy.*: sample 3 holds nan"):
            read(tmp_path / "x.npy")
    with pytest.raises(DataError, match="samples: sample 3 holds nan"):
        array_samples(x, TAKES)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x10\x00{", b"\x93NUMPY\x09\x00"]
)
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        ArrayFile(path)


def test_objects_are_refused_before_they_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="x holds Python objects"):
        ArrayFile(tmp_path / "x.npz")


def test_int8_calibration_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 4), np.int8))
    with pytest.raises(DataError, match="values are int8"):
        read_calibration(tmp_path / "x.npy")


def test_a_member_in_place_of_the_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.zeros((2, 4, 4, 1), np.int8))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", "text")
    with pytest.raises(DataError, match=r"'x' is no \.npy file"):
        input_samples(path, TAKES)


@pytest.mark.parametrize("shape", ["(True, 8, 8, 1)", "(1.0, 8)", f"({'1, ' * 100})", "(-1, 4)"])
def test_a_header_of_no_shape_is_refused(shape: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(501) + "\n"
    path = tmp_path / "x.npy"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    path.write_bytes(content + bytes(1024))
    with pytest.raises(DataError, match=r"x\.npy: not a readable"):
        ArrayFile(path)
