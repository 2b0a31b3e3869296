"""``img kaniko``: the command line of kaniko's executor, for pipelines that were written for it."""
