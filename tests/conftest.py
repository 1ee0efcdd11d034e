"""What holds for every test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no finding
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def nothing_left_open() -> Iterator[None]:
    """A socket or process that is left open is told of in the module that left it, not in a later one."""
    yield
    gc.collect()
