"""Holds code as users write it, for the checkers of types alone: `nox -s types`, and mypy with all other tests."""
