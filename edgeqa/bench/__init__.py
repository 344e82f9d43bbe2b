"""How fast a device answers: texts of known lengths in, milliseconds by workload and step out. `edgeqa bench`."""
