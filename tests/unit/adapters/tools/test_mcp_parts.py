"""The small parts of the MCP adapter, each alone."""

from __future__ import annotations

import asyncio
import base64
import itertools
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp.bounds import (
    LONG_BYTES,
    STREAM_BUFFER_BYTES_MAX,
    STREAM_PIECE_BYTES,
    WEIGHT_MAX,
)
from toolward.adapters.tools.mcp.http.endpoint import endpoint_of
from toolward.adapters.tools.mcp.http.sse import EventTooLarge, SseEvent, SseReader
from toolward.adapters.tools.mcp.http.stream import BodyStream
from toolward.adapters.tools.mcp.mirrored import header_value, mirrored_headers, mirrored_of
from toolward.adapters.tools.mcp.packages.installing import Packages, installer_environment, package_of
from toolward.adapters.tools.mcp.stdio.child import clean_environment
from toolward.adapters.tools.mcp.stdio.lines import LineReader, Overlong
from toolward.adapters.tools.mcp.wire import answers, declared, envelope, outcome_of, parse
from toolward.errors import ToolFailed, WardError
from toolward.model.call import Era, Failed, Returned, Stopped
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

EVENTS = (
    b"\xef\xbb\xbf: comment\r\nid: 1\rretry: 250\ndata: one\r\ndata:two\n\n"
    b"event: other\ndata: x\n\nid: 7\ndata:\n\nretry: soon\nid: a\0b\n\ndata: cut off"
)


def read(chunks: list[bytes]) -> list[SseEvent]:
    reader = SseReader(1000)
    return [event for chunk in chunks for event in reader.feed(chunk)]


def test_an_event_stream_is_read_as_the_standard_says() -> None:
    assert read([EVENTS]) == [
        SseEvent("message", b"one\ntwo", "1", 250),
        SseEvent("other", b"x", None, None),
        SseEvent("message", b"", "7", None),
    ]


@given(st.lists(st.integers(0, len(EVENTS)), max_size=20))
def test_how_an_event_stream_is_cut_into_chunks_does_not_matter(cuts: list[int]) -> None:
    places = sorted({0, len(EVENTS), *cuts})
    assert read([EVENTS[a:b] for a, b in itertools.pairwise(places)]) == read([EVENTS])


@pytest.mark.parametrize(
    "chunk", [b"data: " + b"x" * 2000, b"data: " + b"x" * 900 + b"\ndata: " + b"y" * 900]
)
def test_an_event_past_the_limit_is_refused_before_it_ends(chunk: bytes) -> None:
    reader = SseReader(1000)
    with pytest.raises(EventTooLarge):
        _ = reader.feed(chunk)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=20))
def test_lines_of_an_event_stream_that_say_nothing_are_counted_however_they_are_cut(cuts: list[int]) -> None:
    reader = SseReader(1000)
    places = sorted({0, len(EVENTS), *cuts})
    for a, b in itertools.pairwise(places):
        _ = reader.feed(EVENTS[a:b])
    assert reader.noise() == 4  # a comment, a time and an id that are none, and the end of their block
    assert reader.noise() == 0


def test_a_comment_weighs_by_its_length() -> None:
    reader = SseReader(100_000)
    _ = reader.feed(b":\n\n\n")
    assert reader.noise() == 3
    _ = reader.feed(b": " + b"x" * 10 * LONG_BYTES + b"\n")
    assert reader.noise() == 11
    _ = reader.feed(b"\n" * 5_000)
    assert reader.noise() == WEIGHT_MAX  # else one piece of a stream would silence it for half a minute


class Tap:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def abort(self) -> None:
        self.told.append("abort")


async def turns_while_read(chunks: list[bytes]) -> tuple[list[bytes], int]:
    """The pieces in which a stream is read that has these chunks, and the turns that others had meanwhile."""
    stream, turns = BodyStream(Tap()), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(others())
    for chunk in chunks:
        stream.take(chunk)
    stream.finish()
    pieces: list[bytes] = []
    while piece := await stream.read():
        pieces.append(piece)
    beside.cancel()
    assert b"".join(pieces) == b"".join(chunks)
    return pieces, turns


async def test_a_long_chunk_of_lines_is_read_in_pieces_between_which_others_have_their_turn() -> None:
    pieces, turns = await turns_while_read([b"data: x\n\n" * 30_000])
    assert max(map(len, pieces)) == STREAM_PIECE_BYTES
    assert turns >= len(pieces) - 1


async def test_small_chunks_of_lines_that_wait_are_read_in_turns_too() -> None:
    _, turns = await turns_while_read([b"data: x\r"] * (4 * STREAM_PIECE_BYTES // 8))
    assert turns >= 3


async def test_one_long_line_is_read_without_waiting_for_others() -> None:
    pieces, turns = await turns_while_read([b"x" * 50 * STREAM_PIECE_BYTES])
    assert len(pieces) == 50
    assert turns == 0


async def test_a_stream_that_nobody_reads_makes_the_server_wait_until_it_is_read() -> None:
    tap = Tap()
    stream = BodyStream(tap)
    stream.take(b"x" * (STREAM_BUFFER_BYTES_MAX + 1))
    assert tap.told == ["pause"]
    for _ in range(STREAM_BUFFER_BYTES_MAX // STREAM_PIECE_BYTES // 2 - 1):
        _ = await stream.read()
    assert "resume" not in tap.told
    _ = await stream.read()
    _ = await stream.read()
    assert "resume" in tap.told


@given(st.lists(st.binary(max_size=30), max_size=30), st.integers(5, 25))
def test_lines_are_whole_or_overlong_however_they_arrive(chunks: list[bytes], limit: int) -> None:
    reader = LineReader()
    reader.line_max = limit
    got = [line for chunk in [*chunks, b"\n"] for line in reader.feed(chunk)]
    expected = b"".join([*chunks, b"\n"]).split(b"\n")[:-1]
    assert [None if isinstance(line, Overlong) else line for line in got] == [
        None if len(line) > limit else line for line in expected
    ]


def test_header_values_survive_as_they_are_or_wrapped() -> None:
    assert header_value("plain text") == "plain text"
    for odd in (" edge", "ü", "a\r\nx-evil: 1", "=?base64?eA==?="):
        wrapped = header_value(odd)
        assert base64.b64decode(wrapped.removeprefix("=?base64?").removesuffix("?=")).decode() == odd
        assert wrapped.isascii()
        assert wrapped.isprintable()


def definition(properties: object) -> bytes:
    return orjson.dumps({"name": "t", "inputSchema": {"type": "object", "properties": properties}})


def test_annotated_arguments_are_mirrored_into_headers() -> None:
    mirrored = mirrored_of(
        definition(
            {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "deep": {"type": "object", "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry"}}},
                "n": {"type": "integer", "x-mcp-header": "N"},
            }
        )
    )
    lines = mirrored_headers(mirrored, {"region": "eu\r\nevil: 1", "deep": {"dry": True}})
    assert lines == b"mcp-param-Region: =?base64?ZXUNCmV2aWw6IDE=?=\r\nmcp-param-Dry: true\r\n"


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "number", "x-mcp-header": "A"}},
        {"a": {"type": "string", "x-mcp-header": "A\r\nB"}},
        {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}},
    ],
)
def test_a_forbidden_annotation_mirrors_nothing(properties: object) -> None:
    assert mirrored_of(definition(properties)) == ()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b",
        "http://u:p@a/b",
        "http:///x",
        "http://a b/",
        "http://a/\r\nx",
        "http://a:99999/",
        "nonsense",
    ],
)
def test_odd_urls_are_refused(url: str) -> None:
    with pytest.raises(WardError):
        _ = endpoint_of(url)


def test_a_url_is_taken_apart() -> None:
    found = endpoint_of("https://[::1]:8443/mcp?x=1")
    assert (found.host, found.port, found.secure) == ("::1", 8443, True)
    assert (found.target, found.authority) == (b"/mcp?x=1", b"[::1]:8443")


@pytest.mark.parametrize(
    "raw", [b"[]", b"1", b"{", b'{"id":1}', b'{"jsonrpc":"2.0","x":NaN}', b'{"jsonrpc":"2.0","x":"\xff"}']
)
def test_what_is_not_one_json_rpc_message_is_none(raw: bytes) -> None:
    assert parse(raw) is None


@pytest.mark.parametrize(
    ("given_id", "ours"), [(1, True), (True, False), (1.0, False), ("1", False), (None, False)]
)
def test_only_the_very_id_answers(given_id: object, ours: bool) -> None:
    assert answers({"id": given_id}, 1) is ours


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"result": {}}, Returned),
        ({"error": {"code": -1, "message": "m"}}, Failed),
        ({"result": []}, Stopped),
        ({"result": {}, "error": {"code": 1, "message": ""}}, Stopped),
        ({"error": "text"}, Stopped),
        ({}, Stopped),
    ],
)
def test_a_response_means_one_thing(message: dict[str, object], kind: type) -> None:
    assert type(outcome_of(message, 1)) is kind


def test_the_callers_envelope_is_replaced_and_its_other_meta_kept() -> None:
    prefix = "io.modelcontextprotocol/"
    meta = {
        f"{prefix}clientInfo": 1,
        f"{prefix}clientCapabilities": 2,
        f"{prefix}protocolVersion": 3,
        "traceparent": "t",
    }
    assert envelope(Era.HANDSHAKE, meta, {}) == {"traceparent": "t"}
    modern = envelope(Era.STATELESS, meta, {"sampling": {}})
    assert modern[f"{prefix}protocolVersion"] == "2026-07-28"
    assert modern[f"{prefix}clientCapabilities"] == {"sampling": {}}
    assert modern["traceparent"] == "t"


def test_nothing_is_declared_that_the_caller_or_the_operator_did_not_declare() -> None:
    assert declared({"sampling": {"tools": {}}, "roots": {}}, ("sampling", "elicitation")) == {
        "sampling": {"tools": {}}
    }
    assert declared({"sampling": {}}, ()) == {}


@pytest.mark.parametrize(
    "reference",
    [
        "pypi:x",
        "pypi:x>=1",
        "pypi:-r evil==1",
        "npm:x",
        "npm:../x@1",
        "npm:x@latest tag",
        "pypi:x==1; evil",
        "http://x",
    ],
)
def test_a_package_needs_an_exact_version(reference: str) -> None:
    with pytest.raises(WardError):
        _ = package_of(reference)


def test_package_references_are_taken_apart() -> None:
    assert package_of("pypi:mcp-server-git==2026.10.19").name == "mcp-server-git"
    scoped = package_of("npm:@modelcontextprotocol/server-memory@2026.8.31")
    assert (scoped.name, scoped.version) == ("@modelcontextprotocol/server-memory", "2026.8.31")


async def test_a_constraint_can_not_be_an_option(tmp_path: Path) -> None:
    binding = ServerBinding(
        server="s", kind=BindingKind.STDIO, package="pypi:x==1", constraints=("--index-url=http://evil",)
    )
    with pytest.raises(WardError):
        _ = await Packages(tmp_path, ids=SystemIds()).ensure(binding)


async def test_a_failing_installer_is_reported_with_its_last_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    installer = programs / "uv"
    installer.write_text("#!/bin/sh\necho no such version >&2\nexit 2\n")
    installer.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    said: list[str] = []
    binding = ServerBinding(server="s", kind=BindingKind.STDIO, package="pypi:x==1")
    with pytest.raises(ToolFailed, match="no such version"):
        _ = await Packages(tmp_path / "state", ids=SystemIds(), on_progress=said.append).ensure(binding)
    assert "  no such version" in said
    assert [path for path in (tmp_path / "state").rglob("*") if path.name.startswith("env-")] == []


def test_secrets_of_the_gateway_reach_neither_children_nor_installers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_TOKEN", "x")
    monkeypatch.setenv("PIP_INDEX_URL", "http://index")
    assert "API_TOKEN" not in clean_environment({})
    assert "PIP_INDEX_URL" not in clean_environment({})
    assert "API_TOKEN" not in installer_environment()
    assert installer_environment()["PIP_INDEX_URL"] == "http://index"
