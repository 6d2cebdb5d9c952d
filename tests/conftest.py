"""What all tests of the project run with. The fixtures are those of the test kit (`tester.fixtures`), which others may use as well."""

import gc
import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["tester.fixtures"]

# Two cores shared with databases and servers: no deadline per example. CI repeats the same examples, a developer gets new ones.
hypothesis.settings.register_profile("developer", deadline=None, max_examples=60)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_collection_finish() -> None:
    """What has been imported and collected stays until the end: the search for garbage need not walk through it after every test."""
    gc.collect()
    gc.freeze()


# What waits for processes, sockets and real seconds more than it computes.
WAITING = ("faults/", "scenarios/", "emulator/", "test_cli.py", "test_demo.py", "test_testing_guide.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait come first: they stay together on one worker while another one computes, and no long one is left for the end.

    (`--dist worksteal` begins with a half for each of two workers, in this order.) Within both groups the order stays.
    """
    here = f"{Path(__file__).parent}/"
    items.sort(key=lambda item: not str(item.path).removeprefix(here).startswith(WAITING))
