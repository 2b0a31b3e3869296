"""The embedded default: namespaces and overlayfs through the sandbox helper; needs nothing but the kernel."""
