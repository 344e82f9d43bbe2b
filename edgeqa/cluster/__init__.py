"""An extra: edgeqa on Valkey Cluster. The truth lies in Valkey; workers hold data derived from it, and read.

A cluster is a third scope of `asking`, beside texts and a collection. redis-py is imported when a cluster is opened.
"""
