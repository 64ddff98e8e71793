"""With how many threads a run of ``scale`` trains."""

from __future__ import annotations

from typing import Any

import pytest
from made_run import description_document

from m2bench.errors import UserError
from m2bench.records.description import Description
from m2bench.records.documents import read
from m2bench.records.scale_spec import Scale
from m2bench.run import run_scale


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Description:
    """Of a machine of four cores, on which the layer ``each`` computes by a thread on each."""
    monkeypatch.setattr(run_scale, "fast_cores", lambda: 4)
    document: dict[str, Any] = description_document(("amp", "each"))
    document["layers"][1]["own_threads"] = True
    return read(Description, document)


@pytest.mark.parametrize(
    ("on", "asked", "expected"),
    [((), (), (1, 2, 4)), (("amp",), (1, 3), (1, 3)), (("amp", "each"), (), (4,)), (("each",), (4,), (4,))],
)
def test_a_layer_with_threads_of_its_own_is_measured_by_as_many(
    on: tuple[str, ...], asked: tuple[int, ...], expected: tuple[int, ...], description: Description
) -> None:
    assert run_scale._threads(Scale(combinations=((), on), threads=asked), description) == expected


def test_threads_that_a_layer_would_not_keep_to_are_refused(description: Description) -> None:
    with pytest.raises(UserError, match="--threads 2: each computes by a thread on each of the 4 cores, whatever"):
        run_scale._threads(Scale(combinations=((), ("each",)), threads=(4, 2)), description)
