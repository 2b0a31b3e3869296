"""The kit for plugin authors (docs/reference/testing.md).

builders      contexts, tars, small images, finished targets
ports, host   a fake for each port of `img.ports`
fakes         fakes for the solver's seams
registry      a registry in memory; `chaos` has faults for it
strategies    hypothesis: paths, trees, definitions, configurations, documents
pytest_plugin fixtures, for ``pytest -p img.testing.pytest_plugin`` or ``pytest_plugins = […]`` in a conftest.py
frontends, sources, exporters, caches, reporters, plugins, snapshotters, and backends
              conformance suites: a class to derive from, in three lines
"""

import sys

SUITES = ("frontends", "sources", "exporters", "caches", "reporters", "plugins", "snapshotters", "suite")

if "pytest" in sys.modules:
    sys.modules["pytest"].register_assert_rewrite(*(f"{__name__}.{name}" for name in SUITES))
