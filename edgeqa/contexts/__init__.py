"""Contexts: texts in, passages out."""
