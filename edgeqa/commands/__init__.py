"""The commands of `edgeqa`, one module each, imported when the command is used."""
