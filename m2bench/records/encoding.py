"""Typed records as JSON documents, and the JSON Schema of these documents.

A field becomes a key of its name. A figure becomes two: ``x`` and ``x_ci``, its value and its interval. The fields of a
record that is marked ``FLAT`` stand among those around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from .figure import Figure

FLAT = {"flat": True}
"""Metadata of a field whose own fields stand in its place."""


def interval_as(key: str) -> dict[str, str]:
    """Metadata of a figure whose interval has this key."""
    return {"interval": key}


def encode(value: Any) -> Any:
    """The value as what ``json.dumps`` takes: records as dicts, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: encoded for field in dataclasses.fields(value) for key, encoded in _encode_field(value, field)}
    if isinstance(value, Mapping):
        return {key: encode(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [encode(entry) for entry in value]
    return value


def _encode_field(record: Any, field: dataclasses.Field[Any]) -> Iterator[tuple[str, Any]]:
    value = getattr(record, field.name)
    if field.metadata.get("flat"):
        yield from encode(value).items()
    elif _is_figure(type(record), field.name):
        yield field.name, _part(value, "value")
        yield _interval_key(field), _part(value, "interval")
    else:
        yield field.name, encode(value)


def _part(value: Figure | Mapping[str, Figure] | None, part: str) -> Any:
    """The values or the intervals of one figure, or of several by name."""
    if isinstance(value, Mapping):
        return {name: encode(getattr(figure, part)) for name, figure in value.items()}
    return None if value is None else encode(getattr(value, part))


def _interval_key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("interval", f"{field.name}_ci"))


def _is_figure(record: type, name: str) -> bool:
    """Whether a field holds one figure, or several by name; either may be None."""
    kinds = {kind for kind in (_hints(record)[name], *get_args(_hints(record)[name])) if kind is not NoneType}
    return Figure in kinds or any(get_args(kind)[1:] == (Figure,) for kind in kinds)


@cache
def _hints(record: type) -> dict[str, Any]:
    return get_type_hints(record)
