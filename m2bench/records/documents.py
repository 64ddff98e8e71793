"""Records as JSON documents and back, for the edges: files, SQLite, and the lines between processes.

A record is a frozen dataclass. Its document has one key for each field, by the field's name unless its metadata say
otherwise. A figure has two: ``x``, its value, and ``x_ci``, its interval; so have several figures by name. A record may
have a static method ``completed``, which adds to a document what earlier versions left out. Records hold tuples where
documents hold lists; what is no record (evidence, say) stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .figure import Figure

T = TypeVar("T")
Document = dict[str, Any]

KEY = "key"
LEFT_OUT = {"left out": True}
"""Metadata of a field that has no key in the document where it has its default."""
WHOLE = {"whole": True}
"""Metadata of a field that holds the document as it was read, and is what is written.

For records whose documents tell more than their fields name.
"""
FLAT = {"flat": True}
"""Metadata of a field whose own fields stand in its place."""
REST = {"rest": True}
"""Metadata of a field that holds all that no other field is for, by their keys, in its place in the document."""
INTERVAL = "interval"
TEXT = "text"


def interval_called(key: str) -> dict[str, str]:
    """Metadata of a figure whose interval has this key, and not that of the figure with ``_ci``."""
    return {INTERVAL: key}


def text_called(key: str) -> dict[str, object]:
    """Metadata of a field, a value or None, that is written as its ``str`` under this key, and is not read back."""
    return {KEY: key, TEXT: True}


def called(key: str) -> dict[str, str]:
    """Metadata of a field whose key in documents is another than its name."""
    return {KEY: key}


def read(kind: type[T], document: Any) -> T:
    """The record, or other value, of this type that a document holds.

    Keys without a field are passed over, and a field without its key has its default, so that documents of earlier and
    later versions are read. ValueError where a field has none, or where a list or an object is something else.
    """
    hint: Any = kind
    value: T = _reader(hint)(document)
    return value


def to_json(record: Any) -> Document:
    """The document of a record."""
    kind: Any = type(record)
    found: Document = {}
    for each, key, _ in _fields(kind):
        value = getattr(record, each.name)
        if each.metadata == WHOLE:
            return dict(value)
        if each.metadata == FLAT:
            found |= to_json(value)
        elif each.metadata == REST:
            found |= _plain(value)
        elif each.name in _figures(kind):
            found |= {key: _part(value, "value"), interval_key(each): _part(value, "interval")}
        elif TEXT in each.metadata:
            found[key] = None if value is None else str(value)
        elif not (each.metadata == LEFT_OUT and value == each.default):
            found[key] = _plain(value)
    return found


def interval_key(figure: Field[Any]) -> str:
    """The key of a figure's interval."""
    return str(figure.metadata.get(INTERVAL, f"{figure.name}_ci"))


def _part(value: Figure | Mapping[str, Figure] | None, part: str) -> Any:
    """The value or the interval of one figure, or of each of several."""
    if isinstance(value, Mapping):
        return {name: _part(figure, part) for name, figure in value.items()}
    return None if value is None else _plain(getattr(value, part))


@cache
def _figures(kind: Any) -> set[str]:
    """The fields of a record that hold one figure, or several by name."""
    return {name for name, hint in get_type_hints(kind).items() if is_figure(hint)}


def is_figure(hint: Any) -> bool:
    """Whether a type is that of one figure, or of several by name; either may be None."""
    inner = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) is UnionType:
        return len(inner) == 1 and is_figure(inner[0])
    return hint is Figure or (get_origin(hint) is Mapping and inner[1] is Figure)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@cache
def _fields(kind: Any) -> list[tuple[Field[Any], str, Callable[[Any], Any]]]:
    """The fields of a record with their keys, and what reads each."""
    hints = get_type_hints(kind)
    return [(each, each.metadata.get(KEY, each.name), _reader(hints[each.name])) for each in fields(kind)]


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of this type from what a document holds."""
    if is_dataclass(hint):
        return lambda document: _read_record(hint, document)
    if hint is Path:
        return Path
    kind, inner = get_origin(hint), [_reader(each) for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if kind is UnionType and len(inner) == 1:
        return lambda value: None if value is None else inner[0](value)
    if kind is tuple:
        return tuple if inner[0] is _as_it_is else lambda values: tuple(map(inner[0], values))
    if kind in (Mapping, dict) and inner[1] is not _as_it_is:
        return lambda values: {key: inner[1](value) for key, value in values.items()}
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _read_record(kind: Any, document: Any) -> Any:
    if not isinstance(document, Mapping):
        raise ValueError(f"{kind.__name__} is to be an object, and is {document!r}")
    if hasattr(kind, "completed"):
        document = kind.completed(document)
    found = {}
    for each, key, reader in _fields(kind):
        if each.metadata == WHOLE:
            found[each.name] = document
        elif each.metadata == REST:
            found[each.name] = _rest(kind, document)
        elif key in document:
            try:
                found[each.name] = reader(document[key])
            except (AttributeError, TypeError) as error:  # no list, or no object, where there is to be one
                raise ValueError(f"{key} of {kind.__name__} cannot be read: {error}") from error
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{kind.__name__} has no {key}")
    return kind(**found)


def _rest(kind: Any, document: Mapping[str, Any]) -> Document:
    """What no field of the record is for."""
    own = {key for _, key, _ in _fields(kind)}
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in document.items() if key not in own
    }
