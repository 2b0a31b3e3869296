"""Where finished images go. Each exporter knows nothing of its siblings."""
