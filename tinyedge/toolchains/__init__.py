"""C compilers for boards and for this machine, and Arduino's core for AVR."""
