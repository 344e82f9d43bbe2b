"""Importing: a model's directory, as the usual exporters write it, in; an ordinary bundle of kind `joint` out."""
