"""Runs a compiled hls4ml project in a process of its own, as its assertions end the process.

    python simulation_worker.py LIBRARY FUNCTION TRACED INPUT OUTPUT [LAYER:SIZE ...]

Reads samples of INPUT float32 values from stdin. Writes for each, to stdout, the OUTPUT values of
the top function and the values of the named layers, of which the library knows TRACED.
"""

from __future__ import annotations

import ctypes
import sys


class _Traced(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


def main() -> None:
    """See the module."""
    path, function, count, inputs, outputs, *named = sys.argv[1:]
    library = ctypes.CDLL(path)
    library.allocate_trace_storage.argtypes = [ctypes.c_size_t]
    library.allocate_trace_storage(ctypes.sizeof(ctypes.c_float))
    traced = (_Traced * int(count))()
    library.collect_trace_output(traced)
    places = {each.name.decode(): each.data for each in traced}
    layers = [(places[name], 4 * int(size)) for name, size in (each.split(":") for each in named)]
    sample = (ctypes.c_float * int(inputs))()
    output = (ctypes.c_float * int(outputs))()
    top = getattr(library, function)
    while given := sys.stdin.buffer.read(ctypes.sizeof(sample)):
        ctypes.memmove(sample, given, len(given))
        top(sample, output)
        sys.stdout.buffer.write(bytes(output))
        for place, size in layers:
            sys.stdout.buffer.write(ctypes.string_at(place, size))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
