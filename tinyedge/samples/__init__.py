"""Samples: reading, checking, scaling and labelling them, whatever the file and the model."""
