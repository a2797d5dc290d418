"""The commands as functions: one module a command, whose options are the function's parameters.

``tinyedge.cli`` parses options, calls these and prints what they give; ``tinyedge`` offers them to
notebooks. A function gives what ``--json`` prints, but for ``version`` and ``status``.
"""
