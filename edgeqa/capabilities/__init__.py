"""The device: what it has (`probe`), what edgeqa does with it (`plan`), and how that is shown (`report`)."""
