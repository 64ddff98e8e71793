"""The folder of a run on several machines: what happened is kept, and nobody takes it for one run."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_run import SPEC, make_record

from m2bench.errors import UserError
from m2bench.store.fleet import EVENTS, add_event, begin_fleet, events_of
from m2bench.store.results_database import Store


def test_a_line_that_was_cut_off_costs_that_line_alone(tmp_path: Path) -> None:
    for text in ("one", "two"):
        add_event(tmp_path, "a", text)
    path = tmp_path / EVENTS
    path.write_bytes(path.read_bytes()[:-5])
    assert [event.text for event in events_of(tmp_path)] == ["one"]
    for text in ("three", "four"):
        add_event(tmp_path, "a", text)
    assert [event.text for event in events_of(tmp_path)] == ["one", "three", "four"]


def test_what_asks_for_one_run_is_told_where_the_runs_are(tmp_path: Path) -> None:
    begin_fleet(tmp_path, SPEC)
    with pytest.raises(UserError, match=r"is a run on several machines\. It holds no trial yet"):
        Store.open(tmp_path)
    for kind in ("m1", "m4"):
        Store.create(tmp_path / kind, make_record(SPEC)).__exit__()
    with pytest.raises(UserError, match=rf"one kind of machine: {tmp_path / 'm1'}, {tmp_path / 'm4'}\."):
        Store.open(tmp_path)
