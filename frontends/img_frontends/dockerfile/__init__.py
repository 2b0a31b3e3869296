"""The Dockerfile frontend: `reader` makes lines, `parse` a typed tree (`tree`), `expand` words, `lower` the graph."""
