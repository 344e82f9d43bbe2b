"""Asking: one way from a question to an answer, whatever it is asked of."""
