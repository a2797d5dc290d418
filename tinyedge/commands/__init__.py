"""The commands as functions: one module a command, whose options are the function's parameters.

``tinyedge.cli`` parses options, calls these and prints what they give; ``tinyedge`` offers them to
notebooks. A function gives what ``--json`` prints, but for ``version`` and ``status``. ``--with``
is ``with_``, and options that only choose what a terminal shows are no parameters.

Where the work was done and a threshold is missed, or host and device differ, a function raises
``ThresholdError``, and the error's ``record`` is what the function would have given.
"""
