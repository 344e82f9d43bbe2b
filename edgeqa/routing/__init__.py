"""Routing: which contexts of a collection a question is read against, in which order, and when enough are read."""
