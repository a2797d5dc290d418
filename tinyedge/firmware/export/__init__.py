"""A model's firmware for other build systems."""
