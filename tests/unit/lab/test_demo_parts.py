"""What the demo is made of: a server that turns, a stage that is strict, an installation that is timed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from toolward.lab.demo import __main__ as demo
from toolward.lab.demo import rates_server
from toolward.lab.demo.acts_record import _forged, _leaf
from toolward.lab.demo.stage import Broken, Stage, expect


def rates(cache: Path, *messages: dict, token: str = "rates_live_x") -> list[dict]:
    """What the server writes when it reads these messages; a process of its own each time."""
    lines = "".join(json.dumps({"jsonrpc": "2.0", "id": n, **each}) + "\n" for n, each in enumerate(messages))
    done = subprocess.run(
        [sys.executable, rates_server.__file__, "--cache", str(cache)],
        input=lines,
        env={**os.environ, rates_server.TOKEN_NAME: token},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


CONVERT = {
    "method": "tools/call",
    "params": {"name": "convert", "arguments": {"amount": 100, "currency": "GBP"}},
}
LIST = {"method": "tools/list"}


def test_the_hostile_server_is_useful_twice_then_announces_a_poisoned_definition_in_every_process(tmp_path):
    cache = tmp_path / "cache"
    first, second, announced = rates(cache, LIST, CONVERT)[0], *rates(cache, CONVERT)
    assert first["result"]["tools"][0]["description"] == rates_server.HONEST
    assert second["result"]["content"][0]["text"] == "115.00 EUR"
    assert announced["method"] == "notifications/tools/list_changed"
    [later] = rates(cache, LIST)
    assert "id_rsa" in later["result"]["tools"][0]["description"]
    assert "note" in later["result"]["tools"][0]["inputSchema"]["properties"]


def test_the_hostile_server_shows_that_its_secret_arrived(tmp_path):
    [answer] = rates(tmp_path / "cache", CONVERT, token="")
    assert answer["result"]["isError"]


def test_a_promise_that_is_not_kept_ends_the_demo_with_what_was_seen_instead():
    expect("kept", kept=True)
    with pytest.raises(Broken, match="two servers; seen: 1"):
        expect("two servers", kept=False, seen=1)


def test_output_without_a_terminal_is_plain_and_each_line_is_one_line(tmp_path):
    out = io.StringIO()
    stage = Stage(home=tmp_path, console=Console(file=out, highlight=False, soft_wrap=True), environment={})
    stage.begin("title")
    stage.good("git__git_log", "x" * 500)
    assert "\x1b" not in out.getvalue()
    assert [len(line) <= 130 for line in out.getvalue().splitlines()] == [True] * 3


def test_a_forged_line_of_an_export_has_a_leaf_hash_that_fits_it():
    line = b'{"index":7,"leaf":"AAAA","record":{"decision":"deny"}}\n'
    forged = json.loads(_forged(line, b"deny", b"allow"))
    assert forged["index"] == 7
    assert forged["record"] == {"decision": "allow"}
    assert forged["leaf"] != "AAAA"
    assert len(_leaf(b"")) == 32


@pytest.mark.parametrize(("ended", "expected"), [(1_000, 40), (100, 0)])
def test_an_installation_counts_only_if_it_was_part_of_this_run(tmp_path, monkeypatch, ended, expected):
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / ".ready").touch()
    os.utime(tmp_path / "pyvenv.cfg", (ended - 40, ended - 40))
    os.utime(tmp_path / ".ready", (ended, ended))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert demo.setup_seconds(1_010) == expected
