"""Building the firmware that ``build``, ``flash``, ``emulate`` and ``run`` are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.commands.arguments import AnyPath, Paths, one_of, optional_path, paths
from tinyedge.errors import UsageError
from tinyedge.names import COMPILERS, MLPERF_INPUTS, PROTOCOLS, RUNTIMES

if TYPE_CHECKING:
    from tinyedge.boards import Board
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.firmware.mlperf import Mlperf
    from tinyedge.firmware.project import Firmware
    from tinyedge.names import CompilerName, MlperfInput
    from tinyedge.progress import Listener
    from tinyedge.tflm.firmware import TflmLibrary

_LEAST_ARENA = 16


@dataclass(frozen=True)
class Runtime:
    """The runtime that computes the model.

    Attributes:
        name: ``tinyedge`` or ``tflm``.
        includes: ``--tflm-include``.
        library: ``--tflm-lib``.
        arena: ``--tflm-arena``, in bytes.
    """

    name: str
    includes: tuple[Path, ...]
    library: Path | None
    arena: int | None

    @classmethod
    def of(cls, name: str, includes: Paths, library: AnyPath | None, arena: int | None) -> Runtime:
        """Makes a runtime from a function's arguments ``runtime`` and ``tflm_...``."""
        return cls(name, paths(includes), optional_path(library), arena)

    def __post_init__(self) -> None:
        one_of("runtime", self.name, RUNTIMES)
        if self.arena is not None and self.arena < _LEAST_ARENA:
            raise UsageError(f"tflm_arena={self.arena!r}: {_LEAST_ARENA} bytes or more")
        given = self.includes or self.library or self.arena
        if self.name != "tflm" and given:
            raise UsageError("--tflm-include, --tflm-lib and --tflm-arena go with --runtime tflm")
        if self.includes and not self.library:
            raise UsageError("--tflm-include goes with --tflm-lib")

    def tflm(self) -> TflmLibrary | None:
        """The library that was named; None without one.

        Raises:
            ToolchainError: it or its headers are not there.
        """
        from tinyedge.tflm.firmware import TflmLibrary

        return TflmLibrary.find(self.includes, self.library) if self.library else None

    def require_tflm(self) -> None:
        """Raises what a run beside TFLite-Micro would raise for want of it, before any work."""
        from tinyedge.tflm.interpreter import runtime

        if not self.tflm():
            runtime()


@dataclass(frozen=True)
class Protocol:
    """The protocol that the firmware speaks.

    Attributes:
        name: ``tinyedge`` or ``mlperf``.
        model: ``--mlperf-model``.
        input: ``--mlperf-input``.
        observe: ``--observe``.
    """

    name: str = "tinyedge"
    model: str | None = None
    input: MlperfInput | None = None
    observe: bool = False

    def __post_init__(self) -> None:
        one_of("protocol", self.name, PROTOCOLS)
        one_of("mlperf_input", self.input, MLPERF_INPUTS)
        if self.name != "mlperf" and (self.model or self.input):
            raise UsageError("--mlperf-model and --mlperf-input go with --protocol mlperf")
        if self.name == "mlperf" and self.observe:
            raise UsageError("--observe does not go with --protocol mlperf")

    def mlperf(self, model: ConvertedModel) -> Mlperf | None:
        """How a model's firmware answers MLPerf Tiny's runner; None with our own link.

        Raises:
            UsageError: the name is none.
        """
        if self.name != "mlperf":
            return None
        from tinyedge.firmware.mlperf import Mlperf

        return Mlperf.of(model.graph, self.model, self.input)


@dataclass(frozen=True)
class Program:
    """The settings of a firmware to build.

    Attributes:
        board: that it is for.
        compiler: that it is built with; ``gcc`` where installed by default, else ``zig``.
        runtime: what computes the model.
        protocol: what it speaks.
    """

    board: Board
    compiler: CompilerName | None
    runtime: Runtime
    protocol: Protocol

    def __post_init__(self) -> None:
        one_of("compiler", self.compiler, COMPILERS)

    def built(
        self, model: ConvertedModel, listener: Listener, target: Path | None = None
    ) -> Firmware:
        """Builds it; raises as ``build_firmware``."""
        from tinyedge.firmware.project import kernel_note

        with listener.step(f"compiling for {self.board.name}"):
            firmware = build_firmware(
                model, self.board, self.compiler, self.runtime, target, self.protocol
            )
        if self.runtime.name != "tflm" and (note := kernel_note(model, self.board)):
            listener.remark(note)
        return firmware


def build_firmware(
    model: ConvertedModel,
    board: Board,
    compiler: CompilerName | None,
    runtime: Runtime,
    target: Path | None = None,
    protocol: Protocol | None = None,
) -> Firmware:
    """Builds the firmware of a model with the runtime and the protocol that were asked for.

    Raises:
        UsageError: TFLite-Micro was asked for without a library, with zig or ``--observe``; or see
            ``Protocol``.
        DoesNotFitError, ModelError, ToolchainError: as the build raises them.
    """
    protocol = protocol or Protocol()
    mlperf = protocol.mlperf(model)
    if runtime.name != "tflm":
        from tinyedge.firmware import project

        return project.build_firmware(
            model, board, compiler, target, mlperf, observe=protocol.observe
        )
    if protocol.observe:
        raise UsageError("--observe does not go with --runtime tflm")
    library = runtime.tflm()
    if not library:
        raise UsageError("--runtime tflm takes --tflm-include and --tflm-lib")
    if compiler == "zig":
        raise UsageError("--runtime tflm links with gcc, as TFLite-Micro was built with it")
    from tinyedge.tflm.firmware import build_tflm_firmware

    return build_tflm_firmware(model, board, library, runtime.arena, target, mlperf)
