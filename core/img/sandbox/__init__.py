"""The helper process that owns namespaces and mounts. Imports the standard library only, and nothing of img."""
