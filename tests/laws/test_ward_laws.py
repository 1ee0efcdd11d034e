"""Laws of the ward's files: what is written is read back, and a finding points where the mistake is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toolward.config.clients.connecting import Client, GatewayEntry, declared, plan_connect
from toolward.config.clients.jsonc import JsoncError, parse, with_member, without_member
from toolward.config.convert import to_struct
from toolward.config.render import emit
from toolward.config.shape import WardConfig
from toolward.config.yamltext import read_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(TEXT.filter(lambda k: k != "<<"), below, max_size=3)
    ),
    max_leaves=12,
)
TRICKY = st.sampled_from(["no", "on", "1e3", "0x1", "1_000", "=", "- a", "a: b", "a #b", "{x}", "[", "", " a ", "'", '"', "\n", "~", "null", "2027-05-01", "@x", "`x`", "%x", "&a", "*a", "!a", "|", ">", "?", ":", "a:", "\u2028", "\x85", "😀"])  # fmt: skip


@given(st.dictionaries(TEXT.filter(lambda k: k != "<<") | TRICKY, VALUES | TRICKY, min_size=1, max_size=4))
def test_what_is_emitted_is_read_back_unchanged(value: dict[str, Any]) -> None:
    text = "\n".join(emit(value)) + "\n"
    root, found = read_yaml(text.encode(), file="x")
    assert found == []
    assert root is not None
    assert root.plain() == value


SERVER_LINES = st.lists(
    st.sampled_from(["    cwd: /x", "    stateless: true", "    timeout_ms: 5", "    # words", ""]),
    unique=True,
)
MISTAKES = st.sampled_from(
    [
        "    colour: red",
        "    timeout_ms: soon",
        "    env: [a]",
        "    stateless: maybe",
        "    arguments: {}",
        "    roots:\n      - 1",
    ]
)


@given(st.integers(0, 5), st.lists(st.tuples(SERVER_LINES, MISTAKES, SERVER_LINES), min_size=1, max_size=4))
def test_each_mistake_is_found_on_the_line_where_it_stands(blank: int, servers: list[Any]) -> None:
    lines = [*["# …"] * blank, "version: 1", "name: x", "servers:"]
    wanted = []
    for number, (before, mistake, after) in enumerate(servers):
        lines += [
            f"  s{number}:",
            "    command: x",
            *(line for line in before if line.split(":")[0] not in mistake),
        ]
        lines += mistake.split("\n")
        wanted.append(len(lines))
        keys = {line.split(":")[0] for line in (*before, *mistake.split("\n"))}
        lines += [line for line in after if line.split(":")[0] not in keys]
    root, found = read_yaml("\n".join(lines).encode(), file="toolward.yaml")
    assert found == []
    value, found = to_struct(root, WardConfig, file="toolward.yaml")
    assert value is None
    assert [error.line for error in found] == wanted


@given(st.binary(max_size=60) | st.text("a:-[]{}&*!|>\"'#%@`\n ,?<", max_size=40).map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    root, found = read_yaml(data, file="x")
    assert root is not None or found or not data.strip() or data.lstrip().startswith((b"#", b"%", b"\xef"))
    assert all(error.file == "x" for error in found)


SPACES = st.sampled_from(["", " ", "\n  ", " // c\n", "/* { */", "\t", "\r\n"])


@st.composite
def jsonc(draw: st.DrawFn, depth: int = 2) -> str:
    """An object as people write it, and as hard to edit."""
    space = lambda: draw(SPACES)  # noqa: E731
    out = "{" + space()
    keys = draw(st.lists(st.sampled_from(["a", "b", "mcpServers", "git", "x y"]), unique=True, max_size=4))
    for index, key in enumerate(keys):
        below = draw(st.sampled_from(["1", '"t{"', "[1, 2,]", "null"]))
        if depth and (key == "mcpServers" or draw(st.booleans())):
            below = draw(jsonc(depth - 1))
        comma = "," if index < len(keys) - 1 or draw(st.booleans()) else ""
        out += json.dumps(key) + space() + ":" + space() + below + space() + comma + space()
    return out + "}" + space()


@given(jsonc(), st.sampled_from(["a", "new"]), VALUES.filter(lambda v: v is not None))
def test_setting_a_member_changes_that_member_alone(text: str, key: str, value: Any) -> None:
    before = parse(text).plain()
    after = with_member(text, ("mcpServers",), key, value)
    wanted = {**before, "mcpServers": {**before.get("mcpServers", {}), key: value}}
    assert parse(after).plain() == wanted
    assert after.count("// c\n") >= text.count("// c\n") - (text.count("// c\n") if key == "a" else 0)
    back = without_member(after, ("mcpServers",), key)
    wanted["mcpServers"].pop(key)
    assert parse(back).plain() == wanted


@given(jsonc(), st.lists(st.sampled_from(["a", "b", "git", "x y", "none"])), st.sampled_from(list(Client)))
def test_connecting_is_idempotent_and_keeps_every_other_setting(
    text: str, gone: list[str], client: Client
) -> None:
    entry = GatewayEntry(command=("toolward", "stdio", "w"))
    if client is Client.VS_CODE:
        text = text.replace("mcpServers", "servers")
    once = plan_connect(text, client=client, entry=entry, replaces=gone)
    assert plan_connect(once, client=client, entry=entry, replaces=gone) == once
    assert declared(once, client)[:1] == ("toolward",)
    assert not set(gone) & set(declared(once, client))


@given(st.text('{}[]",:/*\\ \n1tnf', max_size=30))
def test_no_text_breaks_the_scanner(text: str) -> None:
    line = 1
    try:
        json.dumps(parse(text).plain())
    except JsoncError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
