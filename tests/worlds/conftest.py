"""One toybox for the tests of a module, where this machine can render."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kinowatt.errors import MissingDependency
from kinowatt.worlds.toybox import Toybox


@pytest.fixture(scope="module")
def world() -> Iterator[Toybox]:
    """A toybox with its graphics context."""
    try:
        yield Toybox()
    except MissingDependency as missing:
        pytest.skip(str(missing))
