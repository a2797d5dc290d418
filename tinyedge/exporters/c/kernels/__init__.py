"""Which C kernel computes an operator, and with which constants."""

from tinyedge.exporters.c.kernels.kernel import OBJECTIVES, Array, CodeOptions, Kernel, Objective
from tinyedge.exporters.c.kernels.select import select_kernel

__all__ = ["OBJECTIVES", "Array", "CodeOptions", "Kernel", "Objective", "select_kernel"]
