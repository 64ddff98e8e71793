"""The JSON Schema of a record's document (m2bench/records/documents.py).

``python -m m2bench.summary.schema`` prints that of the ``summary.json`` of an ablation, which is kept as
docs/summary.schema.json; with the word ``scale`` that of a run of ``scale``, docs/scale-summary.schema.json, with
``side-by-side`` that of a run on several machines and of ``compare --out``, docs/side-by-side-summary.schema.json, and
with ``factors`` that of a run of ``ablate --factors``, docs/factors-summary.schema.json.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from m2bench.records.documents import FLAT, KEY, LEFT_OUT, REST, TEXT, WHOLE, Document, interval_key, is_figure
from m2bench.records.figure import Figure, Interval

from .ablation_summary import Summary
from .factors_summary import FactorsSummary
from .machines_summary import SideBySide
from .scale_summary import ScaleSummary

PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}
ENDS = Interval | None
SUMMARIES = {"ablation": Summary, "scale": ScaleSummary, "side-by-side": SideBySide, "factors": FactorsSummary}


def json_schema(kind: type) -> Document:
    """The schema (draft 2020-12) of what ``to_json`` makes of a record: all keys are there, and no others."""
    records: dict[str, Document] = {}
    records["Interval"] = {"description": "Lower and upper end, null where there is none.", **_schema(ENDS, records)}
    _record(kind, records)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.__name__,
        **records.pop(kind.__name__),
        "$defs": records,
    }


def _record(kind: Any, records: dict[str, Document]) -> Document:
    """A reference to the record's schema, which is put among ``records``."""
    if kind.__name__ not in records:
        found: Document = {"description": _in_one_line(kind.__doc__), "type": "object"}
        records[kind.__name__] = found
        properties = dict(_properties(kind, records))
        if properties:
            left_out = {each.name for each in fields(kind) if each.metadata == LEFT_OUT}
            needed = [key for key in properties if key not in left_out]
            found |= {"properties": properties, "required": needed, "additionalProperties": _tells_more(kind)}
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _tells_more(kind: Any) -> bool:
    """Whether the record's documents have keys that its fields do not name."""
    hints = get_type_hints(kind)
    return any(
        each.metadata in (WHOLE, REST) or (each.metadata == FLAT and _tells_more(hints[each.name]))
        for each in fields(kind)
    )


def _properties(kind: Any, records: dict[str, Document]) -> Iterator[tuple[str, Document]]:
    hints, texts = get_type_hints(kind), _texts(kind)
    for each in fields(kind) if WHOLE not in [each.metadata for each in fields(kind)] else ():
        text = {"description": texts[each.name]} if each.name in texts else {}
        if each.metadata == REST:
            continue
        if each.metadata == FLAT:
            yield from _properties(hints[each.name], records)
        elif is_figure(hints[each.name]):
            yield from _figure(each, hints[each.name], text, records)
        else:
            hint = str | None if TEXT in each.metadata else hints[each.name]
            yield each.metadata.get(KEY, each.name), {**text, **_schema(hint, records)}


def _figure(
    field: Field[Any], hint: Any, text: Document, records: dict[str, Document]
) -> Iterator[tuple[str, Document]]:
    """The two keys of a figure, or of several by name."""
    yield field.name, {**text, **_schema(_replaced(hint, float), records)}
    yield interval_key(field), _schema(_replaced(hint, ENDS), records)


def _replaced(hint: Any, part: Any) -> Any:
    """The type with a part of a figure in place of the figure."""
    if hint is Figure:
        return part
    if get_origin(hint) is Mapping:
        return Mapping[str, part]
    return _replaced(next(each for each in get_args(hint) if each is not NoneType), part) | None


def _schema(hint: Any, records: dict[str, Document]) -> Document:
    """The schema of any type that records are made of."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint == ENDS and "Interval" in records:
        return {"$ref": "#/$defs/Interval"}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if is_dataclass(hint):
        return _record(hint, records)
    if kind is Literal:
        return {"enum": list(inner)}
    if kind in (Union, UnionType):
        return _any_of([_schema(each, records) for each in inner])
    if kind is tuple and inner[-1] is not Ellipsis:
        items = [_schema(each, records) for each in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if kind in (tuple, Sequence):
        return {"type": "array", "items": _schema(inner[0], records)}
    if kind is Mapping:
        return {"type": "object", "additionalProperties": _schema(inner[1], records)}
    assert hint is Any, f"no schema of {hint}"
    return {}


def _any_of(schemas: list[Document]) -> Document:
    """One of several; plain types are listed."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _texts(kind: type) -> dict[str, str]:
    """What stands below the fields of a record, by field."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: _in_one_line(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _in_one_line(text: Any) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    print(json.dumps(json_schema(SUMMARIES[(sys.argv[1:] or ["ablation"])[0]]), indent=1))
