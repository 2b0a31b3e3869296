"""The backends. Each knows nothing of its siblings."""
