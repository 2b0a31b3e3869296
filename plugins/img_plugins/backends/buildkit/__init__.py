"""The backend `buildkit`: whole builds on an existing BuildKit."""
