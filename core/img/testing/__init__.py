"""The kit for plugin authors: builders, fakes and conformance suites."""
