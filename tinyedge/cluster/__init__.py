"""Work on many processes and machines: chunks named by their content, computed by Dask's workers.

``distributed`` is imported in ``engine.py`` only, and only when a cluster is asked for.
"""

from tinyedge.cluster.address import ClusterAddress

__all__ = ("ClusterAddress",)
