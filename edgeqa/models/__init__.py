"""Models: bundles, tokenizer, sessions, span decoding. The bundled default model lies here too."""
