"""tinyedge: deeply quantized networks on microcontrollers, proven on the device itself."""

__version__ = "0.1.0"
