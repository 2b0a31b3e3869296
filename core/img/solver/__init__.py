"""In what order the nodes of a graph are made, and whether they are made at all."""
