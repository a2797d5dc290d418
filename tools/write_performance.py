#!/usr/bin/env python3
"""Measures all benchmarks and writes docs/performance.md.

    python tools/write_performance.py            some minutes; the same page on every machine
    python tools/write_performance.py --check    fails if the page is not what would be written

The figures are instruction counts, which do not depend on this machine; they change with the
compiler, whose version the page names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_kernels import BOARDS, Row, measure, table

from tinyedge.exporters.c import CodeOptions
from tinyedge.models.benchmark import BENCHMARKS
from tinyedge.toolchains.compilers import cross_compiler

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
SAMPLES = 3
NETWORKS = ("resnet8", "ds_cnn")
# Instructions counted and cycles modelled a MAC of TFLite-Micro with CMSIS-NN, int8, on the same emulated core: layers by calling
# CMSIS-NN alone, networks with the interpreter; measured apart from this project, GCC 12.2 -O3.
CMSIS_NN = {
    "conv3x3-8x8-64-64": (1.76, 2.05),
    "conv3x3-16x16-32-32": (1.93, 2.26),
    "conv1x1-8x8-64-128": (2.11, 2.50),
    "depthwise3x3-16x16-64": (8.61, 10.2),
    "fully-connected-1024-256": (1.92, 2.44),
    "resnet8": (2.39, 2.95),
    "ds_cnn": (2.90, 3.43),
}

# Instructions counted a MAC of CMSIS-NN's Helium kernels, int8, called alone on the same emulated Cortex-M55, GCC 12.2 -O3; of
# networks the sum over the layers of MLPerf Tiny's int8 models, without softmax and without an interpreter. Fully connected
# without arm_vector_sum_s8, which it needs once.
CMSIS_NN_MVE = {
    "conv3x3-8x8-64-64": 0.206,
    "conv3x3-16x16-32-32": 0.253,
    "conv1x1-8x8-64-128": 0.392,
    "depthwise3x3-16x16-64": 2.30,
    "fully-connected-1024-256": 0.481,
    "resnet8": 0.384,
    "ds_cnn": 0.669,
}

TEXT = """# Performance

Written by `python tools/write_performance.py`; do not edit. {compiler}, `-O2`, QEMU.

Instructions are counted: QEMU does so exactly (`-icount` and the core's timer), so that the
figures are the same on every run and machine. Cycles are modelled from what was counted at each address
([cycles.md](cycles.md)), without wait states; none were measured. `insn/MAC` and `cycles/MAC` count dense multiply-accumulates: a weight
of zero counts as one, and everything that an inference does is in it: padding, scaling,
additions, means. Weights and inputs are random (seed 0, {samples} inputs, the first two all -128 and
all 127); every output byte was compared with the numpy reference. Whole networks keep 8 bits in their
first and last layer. No physical board was measured. What this machine's own kernels reach is told in
[The host twin](twin.md#figures).

## Against TFLite-Micro with CMSIS-NN, Cortex-M4

Cycles a MAC, modelled; in brackets instructions, counted.

| | ternary | 4 bits | 8 bits | CMSIS-NN int8 | ternary takes | 8 bits take |
|---|---:|---:|---:|---:|---:|---:|
{against}

The right-hand figures are for int8 weights, GCC 12.2 `-O3`, the same emulated core; layers alone, networks with
TFLite-Micro's interpreter. `tinyedge run --runtime tflm` compares whole networks side by side with a
TFLite-Micro of your own ([tflite.md](tflite.md)).

Layer by layer, on files of MLPerf Tiny: modelled cycles in millions, of the layers for which CMSIS-NN has a kernel
(99f736a6, `-O3`, called alone on the same emulated core; softmax left out, as it takes what its data make of it). Ours are
those of `tinyedge run DIR --on emulator -b netduinoplus2 --profile`.

| file | tinyedge | CMSIS-NN | layers | that take more than CMSIS-NN's |
|---|---:|---:|---:|---|
| `resnet8_int8` | 17.65 | 36.20 | 14 | none |
| `resnet_large_int8` | 86.44 | 166.98 | 14 | none |
| `ds_cnn_int8` | 4.31 | 9.13 | 11 | none |
| `vww_96_int8` | 9.31 | 20.02 | 29 | none |
| `str_ww_int8` | 1.32 | 2.66 | 9 | none |
| `ad01_int8` | 0.48 | 0.73 | 10 | none |

## Cortex-M4, for speed

{speed}

`code` is all machine code with harness and start-up, `runtime` the kernels' share, `bound` the bytes
that no plan of the arena can do without. Between 0.3 and 0.8 KB of stack are used at most, by the whole
firmware (`stack_peak` of `tools/bench_kernels.py --json`).

## Cortex-M4, for size

{size}

Ternary weights take 1.6 bits (base 3), or 2 - z where more than 0.4 of them are zero (prefix code), where that saves more than
the code that reads it.

## Against CMSIS-NN, Cortex-M55 with Helium

Instructions a MAC, counted.

| | ternary | 4 bits | 8 bits | CMSIS-NN int8 | 8 bits take |
|---|---:|---:|---:|---:|---:|
{against_mve}

The right-hand figures are for GCC 12.2 `-O3` and kernels that are called alone, also those of networks.

{vectors}

## Other cores, ternary

{cores}

The Cortex-M0's code runs on QEMU's Cortex-M3, which executes it unchanged, one instruction for one.

## How

- **Tables of partial sums** (`te_conv2d_lut_s8`; binary and ternary convolution, any core). Four ternary
  weights have 81 possible contributions to an output. All are summed up once for eight positions, in
  16-bit lanes, each from the one before, and the packed weights are the index of their sum. Two indices
  are loaded one behind the other, and sums stay in registers for up to eight tables.
- **Four products in one multiplication** (`te_conv1x1_quad_s8`, `te_fully_connected_quad_s8`; DSP extension):
  two columns and two output channels share a `smlad`. A convolution computes three cells of four channels at a time.
- **Two channels in one lane** (`te_conv2d_dsp_s8`, `te_fully_connected_dsp_s8` and, where one product gives a sum and outputs are
  not clamped, the shorter `te_fully_connected_whole_s8`; 8 and 4 bits, DSP extension):
  `a + 256 * b` is multiplied as it is, and so is its low byte; the difference holds b's sum. A convolution
  of 8 bits computes two pixels of four channels at a time, with single loads, which take less time on a
  Cortex-M4 than one of several words, and scales them without storing their sums.
- **Two columns in one word** (`te_depthwise_conv2d_pair_s8`): one multiplication by a weight serves
  both. `te_depthwise_conv2d_dual_s8`, for larger sums, multiplies by two weights at once; it makes six outputs of a row
  and scales them in one piece of assembly. `te_depthwise_conv2d_six_s8` does nothing else, for rows of so many, or of one less.
- **Four channels at a time** (`te_depthwise_conv2d_cells_s8`; DSP extension): depthwise convolutions with dilations, with few
  outputs in a row, or whose ring of rows would take too large an arena. A convolution along one column is computed along a row.
  `te_depthwise_conv2d_fours_s8` makes all channels of a cell of 8 bits in one piece of assembly, scaling included.
- **Bytes without sign** (`te_conv2d_patch_s8`; 8 bits, no DSP extension): each input is loaded once for two
  channels, on a Cortex-M3 for four or six.
- **16 products in one instruction** (`te_conv2d_mve_s8`, `te_fully_connected_mve_s8`; Helium, weights of any bits):
  `vmladava` sums up the products of 16 columns; eight sums, of two cells with four output channels, stay in registers, so that
  14 instructions make 128 products. The input's zero point is in the bias. Packed weights are expanded once for up to 16 cells.
  `te_depthwise_conv2d_mve_s8` takes four channels of up to six columns at a time. Four outputs are scaled at once.
- Kernels gather each input once, so most outputs are written over their inputs, and a network
  needs little more than one buffer (`arena.svg` in a converted folder shows the plan).

- **Nine bytes** scale the sums of an output channel: bias, mantissa and shift; where one multiplier serves all channels, four.
  Helium's kernels load 16.

The exporter works out from the actual weights for how many products packed sums hold, for any input. Where they would
not, the kernel takes them out in time, or another kernel is chosen.

4-bit weights without the DSP extension (M0, M3) are slower, as the plain C kernels compute them, and so are
ternary matrix products there. Dilated windows have plain kernels on every core.
`--optimize size` chooses by bytes: of weights, constants, and the machine code of each file of the runtime, measured with
`arm-none-eabi-gcc` (`tools/measure_code.py`). Fast kernels are larger than the plain ones by some KB, and no weights are packed more
tightly for them, so that it mostly takes the plain ones.
"""


def against(rows: dict[tuple[str, int], Row]) -> str:
    """The table that compares with CMSIS-NN."""
    lines = []
    for name, theirs in CMSIS_NN.items():
        ours = [rows[name, bits] for bits in (2, 4, 8)]
        cells = [f"{row.cycles_per_mac:.2f} ({row.insn_per_mac:.2f})" for row in ours]
        cells.append(f"{theirs[1]:.2f} ({theirs[0]:.2f})")
        for row in (ours[0], ours[2]):
            assert row.cycles_per_mac
            cells.append(f"{100 * row.cycles_per_mac / theirs[1]:.0f} %")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def against_mve(rows: dict[tuple[str, int], Row]) -> str:
    """The same for Helium."""
    lines = []
    for name, theirs in CMSIS_NN_MVE.items():
        ours = [rows[name, bits].insn_per_mac for bits in (2, 4, 8)]
        cells = [*(f"{each:.3f}" for each in ours), f"{theirs:.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * ours[2] / theirs:.0f} % |")
    return "\n".join(lines)


def page() -> str:
    """Measures, and gives the page."""

    def rows(names: tuple[str, ...], bits: tuple[int, ...], options: CodeOptions) -> list[Row]:
        found = []
        for width in bits:
            for name in names:
                print(f"{name}, {width} bits, {options}", file=sys.stderr)
                found.append(measure(name, width, options, SAMPLES))
        return found

    speed = rows(tuple(BENCHMARKS), (2, 4, 8), CodeOptions())
    fitting = tuple(name for name in BENCHMARKS if name != "stq")  # in the board's flash
    vectors = rows((*fitting, "stq"), (2,), CodeOptions("cortex-m55"))
    vectors += rows(fitting, (4, 8), CodeOptions("cortex-m55"))
    against_cmsis = {(row.name, row.weight_bits): row for row in vectors}
    vectors += rows((*NETWORKS, "stq"), (2,), CodeOptions("cortex-m55", "size"))
    others = [core for core in BOARDS if core not in ("cortex-m4", "cortex-m55")]
    cores = [row for core in others for row in rows(NETWORKS, (2,), CodeOptions(core))]
    size = rows((*NETWORKS, "stq"), (2,), CodeOptions(optimize="size"))
    if wrong := [row for row in (*speed, *size, *cores, *vectors) if row.mismatches]:
        raise SystemExit(f"outputs differ from the reference: {wrong}")
    return TEXT.format(
        compiler=cross_compiler("cortex-m4", "gcc").version(),
        samples=SAMPLES,
        against=against({(row.name, row.weight_bits): row for row in speed}),
        speed=table(speed, {}),
        size=table(size, {}),
        cores=table(cores, {}),
        against_mve=against_mve(against_cmsis),
        vectors=table(vectors, {}),
    )


def main() -> int:
    """Writes or checks the page; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    text = page()
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE} is not what would be written", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
