"""Scoring the whole runtime on question files."""
