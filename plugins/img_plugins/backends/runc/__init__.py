"""Steps as containers of an OCI runtime: runc, crun, or whatever speaks their command line."""
