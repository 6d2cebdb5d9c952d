"""What all tests of the project run with. The fixtures are those of the test kit (`tester.fixtures`), which others may use as well."""

import gc
import os

import hypothesis

pytest_plugins = ["tester.fixtures"]

# Two cores shared with databases and servers: no deadline per example. CI repeats the same examples, a developer gets new ones.
hypothesis.settings.register_profile("developer", deadline=None, max_examples=60)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_collection_finish() -> None:
    """What has been imported and collected stays until the end: the search for garbage need not walk through it after every test."""
    gc.collect()
    gc.freeze()
