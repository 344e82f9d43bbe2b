"""Extra: edgeqa on Valkey Cluster. The truth lies in Valkey; workers hold what is derived from it, and read.

A third scope of `asking`, beside texts and collection. redis-py is imported when a cluster is opened.
"""
