"""Dockerfiles of our own, built by img and by a real BuildKit, and compared. README.md says how to add one."""
