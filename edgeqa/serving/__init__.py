"""Serving: one process that everybody in the house can ask, by HTTP, by the Redis protocol, by agents and by voice.

In: requests from anywhere. Out: the answers of the runtime of `edgeqa.open`. This room calls the Python API and nothing
beneath it.
"""
