"""What is assumed of a tool of which nobody said anything."""

from __future__ import annotations

from typing import Any

import pytest

from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, Manifest
from toolward.rules.manifest_defaults import complete_manifest, derive_arguments, derive_manifest


def tool(annotations: Any = None, **properties: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"name": "t", "inputSchema": {"type": "object", "properties": properties}}
    return out if annotations is None else {**out, "annotations": annotations}


def test_only_a_read_only_hint_makes_a_read_and_it_is_called_a_hint() -> None:
    reading = derive_manifest(tool({"readOnlyHint": True, "openWorldHint": False}))
    assert (reading.effect, reading.effect_source, reading.egress) == (Effect.READ_ONLY, "hint", False)
    open_world = derive_manifest(tool({"readOnlyHint": True}))
    assert open_world.egress


@pytest.mark.parametrize(
    "annotations",
    [
        None,
        {},
        {"readOnlyHint": "true"},
        {"readOnlyHint": 1},
        {"destructiveHint": False, "idempotentHint": True},
        [],
        "x",
    ],
)
def test_everything_else_is_irreversible_whatever_the_server_says(annotations: Any) -> None:
    manifest = derive_manifest(tool(annotations))
    assert (manifest.effect, manifest.effect_source, manifest.egress) == (
        Effect.IRREVERSIBLE,
        "default",
        True,
    )


def test_a_reader_that_takes_a_destination_is_an_egress_whatever_it_says() -> None:
    hints = {"readOnlyHint": True, "openWorldHint": False}
    assert derive_manifest(tool(hints, url={"type": "string"})).egress
    assert derive_manifest(tool(hints, page={"type": "string", "format": "uri"})).egress


@pytest.mark.parametrize(
    ("name", "schema", "role", "kind"),
    [
        ("path", {"type": "string"}, "authority", "path"),
        ("repo_path", {"type": "string"}, "authority", "path"),
        ("targetDir", {"type": "string"}, "authority", "path"),
        ("paths", {"type": "array", "items": {"type": "string"}}, "authority", "path"),
        ("url", {"type": "string"}, "authority", "url"),
        ("webhookUrl", {"type": "string"}, "authority", "url"),
        ("page", {"type": "string", "format": "uri"}, "authority", "url"),
        ("link", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "authority", "url"),
        ("to", {"type": "string"}, "authority", "address"),
        ("recipients", {"type": "array"}, "authority", "address"),
        ("who", {"type": "string", "format": "email"}, "authority", "address"),
        ("amount", {"type": "number"}, "authority", "value"),
        ("query", {"type": "string"}, "authority", "value"),
        ("id", {"type": "string"}, "authority", "value"),
        ("links", {"type": "integer"}, "authority", "value"),
        ("text", {"type": "string"}, "content", "value"),
        ("commitMessage", {"type": "string"}, "content", "value"),
        ("message_id", {"type": "string"}, "authority", "value"),
        ("message", {"type": "integer"}, "authority", "value"),
        ("body", True, "content", "value"),
        ("__proto__", None, "authority", "value"),
        ("", {}, "authority", "value"),
    ],
)  # fmt: skip
def test_names_and_schemas_tell_what_an_argument_decides(
    name: str, schema: Any, role: str, kind: str
) -> None:
    found = derive_arguments(tool(**{name: schema}))[name]
    assert found == Argument(role=ArgumentRole(role), kind=ArgumentKind(kind))


@pytest.mark.parametrize("schema", [None, [], {"properties": []}, {"properties": None}, "x"])
def test_a_schema_that_makes_no_sense_gives_no_arguments(schema: Any) -> None:
    assert derive_arguments({"name": "t", "inputSchema": schema}) == {}


def test_the_end_of_a_way_or_a_span_is_no_address() -> None:
    text = {"type": "string"}

    def kind(name: str, *beside: str) -> ArgumentKind:
        return derive_arguments(tool(None, **dict.fromkeys((name, *beside), text)))[name].kind

    assert kind("travel_to", "travel_from") is ArgumentKind.VALUE
    assert kind("dateTo", "date_from") is ArgumentKind.VALUE
    assert kind("travel_to") is kind("send_to", "travel_from") is ArgumentKind.ADDRESS
    assert kind("to", "from") is ArgumentKind.ADDRESS, "mail has both"


def test_what_the_operator_said_stands_and_the_rest_is_filled_in() -> None:
    stated = Manifest(arguments={"path": Argument(role=ArgumentRole.CONTENT)})
    full = complete_manifest(stated, tool(path={"type": "string"}, url={"type": "string"}))
    assert full.arguments == {
        "path": Argument(role=ArgumentRole.CONTENT),
        "url": Argument(kind=ArgumentKind.URL),
    }
    assert complete_manifest(full, tool()) is full
