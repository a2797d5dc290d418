"""The integer graph as a ``.tflite`` file: the same integers, scales and biases.

``operators`` says what each operator becomes, ``writer`` puts the file together.
"""

from tinyedge.exporters.tflite.operators import export_tflite, hidden_tensors

__all__ = ["export_tflite", "hidden_tensors"]
