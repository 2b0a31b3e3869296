"""The OCI distribution protocol (distribution-spec 1.1), as a client."""
