"""The part of JSON Schema that our schemas use, so that results are checked without a package.

`tests/grading/test_result.py` compares its answers with those of a full implementation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "pattern",
    "minimum",
}


def offences(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """Where a value breaks a schema, in words. `root` is the whole schema, for references."""
    yield from _offences(value, schema, root, "it")


def _offences(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str
) -> Iterator[str]:
    unknown = set(schema) - KNOWN
    if unknown:
        raise ValueError(f"our reader of schemas does not know {', '.join(sorted(unknown))}")
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield from _offences(value, root["$defs"][name], root, where)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        yield f"{where} is not {' or '.join(kinds)}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where} is not {schema['const']!r}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        yield f"{where} is none of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where} does not look like {schema['pattern']}"
    if type(value) is int and value < schema.get("minimum", value):
        yield f"{where} is below {schema['minimum']}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        required = schema.get("required", ())
        yield from (f"{where} lacks {name}" for name in required if name not in value)
        if not schema.get("additionalProperties", True):
            yield from (f"{where} has an unknown {name!r}" for name in value if name not in known)
        for name in sorted(known.keys() & value.keys()):
            yield from _offences(value[name], known[name], root, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            yield from _offences(each, schema["items"], root, f"{where}[{number}]")


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and not (kind == "integer" and isinstance(value, bool))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
