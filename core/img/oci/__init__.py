"""OCI as values and byte streams: names, descriptors, images, and the layer engine.

No network, no IR, no solver. `tar`, `apply`, `diff` and what they import are standard library only, because they
also run inside the sandbox's namespaces.
"""
