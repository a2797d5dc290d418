"""Names that users choose among, each written once.

This module imports nothing of tinyedge, so that ``--help`` stays light.
"""

from __future__ import annotations

from typing import Literal, get_args

CompilerName = Literal["gcc", "zig"]
COMPILERS: tuple[CompilerName, ...] = get_args(CompilerName)

DatasetName = Literal["cifar10", "digits", "fashion_mnist", "speech_commands", "svhn"]
DATASETS: tuple[DatasetName, ...] = get_args(DatasetName)

EmulatorName = Literal["qemu", "unicorn", "simavr", "rp2040js", "avr8js"]
EMULATORS: tuple[EmulatorName, ...] = get_args(EmulatorName)

ProjectFormat = Literal["cmake", "platformio"]
ExportFormat = Literal["arduino", "c", ProjectFormat]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

FlashToolName = Literal[
    "arduino-cli", "avrdude", "bossac", "dfu", "drive", "openocd", "pyocd", "stlink"
]
FLASH_TOOLS: tuple[FlashToolName, ...] = get_args(FlashToolName)

MlperfInput = Literal["int8", "uint8", "float32"]
MLPERF_INPUTS: tuple[MlperfInput, ...] = get_args(MlperfInput)

PlaceName = Literal["numpy", "twin", "tflite-micro", "emulator", "board"]
PLACES: tuple[PlaceName, ...] = get_args(PlaceName)
"""Where a converted model runs."""

DevicePlace = Literal["emulator", "board"]
DEVICES: tuple[DevicePlace, ...] = get_args(DevicePlace)
"""Places behind a serial link."""

OraclePlace = Literal["numpy", "twin", "emulator", "board"]
ORACLE_PLACES: tuple[OraclePlace, ...] = get_args(OraclePlace)
"""Places that attacks by queries ask."""

GRADIENT_PLACES: tuple[OraclePlace, ...] = ("numpy", "twin")
"""Those that attacks by gradients take too: this machine computes both."""

Protocol = Literal["tinyedge", "mlperf"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

VerifierName = Literal["numpy", "twin", "emulator"]
VERIFIERS: tuple[VerifierName, ...] = get_args(VerifierName)
"""Places that verify a bundle."""

RuntimeName = Literal["tinyedge", "tflm"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)

WitnessName = Literal[
    "twin",
    "tflite-micro",
    "litert-reference",
    "litert-optimized",
    "qkeras",
    "hls4ml",
    "onnxruntime",
    "qonnx",
]
WITNESSES: tuple[WitnessName, ...] = get_args(WitnessName)

Precision = Literal["float", "int8", "binary", "ternary", "stq"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Precisions of the weights of a network to train; ``stq`` is ternary with 8 bits at both ends."""

NetworkName = Literal["stq", "resnet8", "ds_cnn", "mobilenet_v2"]
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)

QUANTIZED_PRECISIONS: tuple[Precision, ...] = tuple(p for p in PRECISIONS if p != "float")

Channels = Literal["grey", "rgb"]
Features = Literal["mfcc", "logmel"]
Optimizer = Literal["adam", "sgd"]

Scheme = Literal["deterministic", "sampling", "portion"]
"""How ternary and binary kernels are made of real ones in training."""

AdversarialMethod = Literal["fgsm", "pgd", "trades"]
"""How samples to train on are crafted."""

Objective = Literal["speed", "size", "ram", "fastest"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
"""The objectives that kernels are chosen for."""

Arithmetic = Literal["exact", "plain"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)
"""How hls4ml scales sums."""

Backend = Literal["vitis", "vivado"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

IOType = Literal["parallel", "stream"]
IO_TYPES: tuple[IOType, ...] = get_args(IOType)

CortexMName = Literal[
    "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"
]
CoreName = Literal[CortexMName, "avr"]
CORE_NAMES: tuple[CoreName, ...] = get_args(CoreName)
"""The cores that kernels are made for."""
