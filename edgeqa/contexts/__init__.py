"""Contexts: texts in, passages out."""

MOST_CONTEXTS = 1000  # read by default: about 1.2 MB of English; a longer text is skimmed first
