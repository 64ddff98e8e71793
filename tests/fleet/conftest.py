"""A scheduler and workers, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machines import Machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("machines")) as found:
        found.start_scheduler()
        yield found
