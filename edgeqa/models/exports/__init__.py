"""Exports of other models: a directory, as the usual exporters write it, in; a bundle of kind `joint` out."""
