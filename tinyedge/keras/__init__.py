"""Keras 2 and QKeras for all that touch them: their environment, loading, saving, quantizers.

Importing this package, ``contents`` or ``names`` does not import TensorFlow; importing its other
modules does.
"""
