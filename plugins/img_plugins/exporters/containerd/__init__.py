"""The exporter ``containerd``: images into containerd's own store."""
