"""Work on many processes and machines: chunks named by their content, computed by Dask's workers.

``distributed`` is imported in ``engine.py`` only, where a cluster is named.
"""

from tinyedge.cluster.address import ClusterAddress

__all__ = ("ClusterAddress",)
