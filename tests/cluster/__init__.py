"""Holds the tests of edgeqa on a cluster of real servers; as a package, so that its conftest has a name of its own."""
