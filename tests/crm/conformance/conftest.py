"""What all tests of this room run with."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """A test of this room makes some megabytes of small objects and ends: looking for garbage meanwhile takes a third of its time."""
    gc.disable()
    yield
    gc.enable()
