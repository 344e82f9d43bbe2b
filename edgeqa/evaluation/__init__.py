"""Evaluation: this room scores the whole runtime on files of questions."""
