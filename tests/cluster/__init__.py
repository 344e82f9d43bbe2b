"""Tests of edgeqa on a cluster of real servers; a package, so that its conftest is one beside that of all tests."""
