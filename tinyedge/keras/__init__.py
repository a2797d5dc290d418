"""Keras 2 and QKeras for all that touch them: their environment, loading, saving, quantizers.

Importing this package does not import TensorFlow; importing its modules does.
"""
