"""TFLite-Micro beside our own runtime: its interpreter on this machine, its arena, its firmware."""
