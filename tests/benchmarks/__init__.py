"""Comparisons with peers; run with ``python -m tests.benchmarks``."""
