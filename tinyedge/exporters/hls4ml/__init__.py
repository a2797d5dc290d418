"""hls4ml projects: the same network for an FPGA, and an independent witness of the conversion.

``rewrite`` gives hls4ml a model that it reads without harm, ``precision`` the types, ``project``
writes the folder, ``simulation`` runs it on this machine, ``resources`` estimates what it takes and
``reports`` reads what the vendor's tools say. Importing this package does not import hls4ml.
"""
