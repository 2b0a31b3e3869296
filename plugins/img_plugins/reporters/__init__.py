"""How a build is shown."""
