from .connect import capacities_of, open_client, open_cluster
from .description import ClusterFile, Pool, read_cluster_file, read_jobqueue

__all__ = ["ClusterFile", "Pool", "capacities_of", "open_client", "open_cluster", "read_cluster_file", "read_jobqueue"]
