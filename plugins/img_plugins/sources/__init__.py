"""Where files come from. Each source knows nothing of its siblings."""
