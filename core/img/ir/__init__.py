"""What to build: an immutable, content-addressed graph of steps. Says nothing of how or whether they run."""
