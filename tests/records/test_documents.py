"""Records become the documents that they were read from; other versions' documents are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from m2bench.records.documents import LEFT_OUT, WHOLE, called, read, to_json


@dataclass(frozen=True)
class Point:
    x: float
    y: float | None = None


@dataclass(frozen=True)
class Track:
    points: tuple[Point, ...]
    by_name: Mapping[str, Point]
    back: Point | None = field(metadata=called("return"))
    speeds: tuple[float, ...] = ()
    note: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Told:
    name: str
    size: int = 0
    facts: Mapping[str, object] = field(metadata=WHOLE, repr=False, default_factory=dict)


DOCUMENT = {
    "points": [{"x": 1, "y": 2.5}, {"x": 3, "y": None}],
    "by_name": {"first": {"x": 1.0, "y": None}},
    "return": {"x": 0, "y": 0},
    "speeds": [1, 2.5],
}


def test_a_document_is_read_and_written_to_the_byte() -> None:
    track = read(Track, DOCUMENT)
    assert track == Track(
        points=(Point(1, 2.5), Point(3)), by_name={"first": Point(1.0)}, back=Point(0, 0), speeds=(1, 2.5)
    )
    assert json.dumps(to_json(track)) == json.dumps(DOCUMENT)  # whole numbers stay whole


def test_what_earlier_versions_did_not_tell_has_its_default_and_what_later_ones_tell_is_passed_over() -> None:
    document = {"points": [{"x": 1, "z": 7}], "by_name": {}, "return": None, "unknown": {"a": 1}}
    assert read(Track, document) == Track(points=(Point(1),), by_name={}, back=None)


def test_a_note_is_written_where_there_is_one() -> None:
    assert "note" not in to_json(read(Track, DOCUMENT))
    assert to_json(read(Track, {**DOCUMENT, "note": "up"}))["note"] == "up"


def test_a_record_of_more_facts_than_it_names_keeps_them_all_in_their_order() -> None:
    document = {"z": 1, "name": "n", "a": {"b": 2}}
    told = read(Told, document)
    assert (told.name, told.size, told.facts["a"]) == ("n", 0, {"b": 2})
    assert list(to_json(told)) == ["z", "name", "a"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"points": [{"y": 1}], "by_name": {}, "return": None}, "Point has no x"),
        ({"points": [], "by_name": {}}, "Track has no return"),
        ({"points": [], "by_name": {}, "return": 5}, "Point is to be an object, and is 5"),
        ([], r"Track is to be an object, and is \[\]"),
        ({**DOCUMENT, "points": 5}, "points of Track cannot be read"),
        ({**DOCUMENT, "by_name": [1]}, "by_name of Track cannot be read"),
    ],
)
def test_what_lacks_something_is_refused_by_name(document: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(Track, document)


def test_what_is_no_record_is_read_as_it_is() -> None:
    assert read(dict[str, Point], {"a": {"x": 1}}) == {"a": Point(1)}
    assert read(dict, DOCUMENT) is DOCUMENT
    assert read(float, 0.5) == 0.5
