from .connect import open_client, open_cluster, places_of
from .description import ClusterFile, Pool, read_cluster_file

__all__ = ["ClusterFile", "Pool", "open_client", "open_cluster", "places_of", "read_cluster_file"]
