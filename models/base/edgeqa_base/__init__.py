"""A model for edgeqa, in the folder `edgeqa-base`. There is no code: edgeqa finds the folder without importing this."""
