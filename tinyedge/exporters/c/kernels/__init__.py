"""Which C kernel computes an operator, and with which constants."""

from tinyedge.exporters.c.kernels.kernel import Array, CodeOptions, Kernel
from tinyedge.exporters.c.kernels.select import select_kernels

__all__ = ["Array", "CodeOptions", "Kernel", "select_kernels"]
