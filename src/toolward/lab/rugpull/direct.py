"""The control: a client without a gateway, in front of the same hostile process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.lab.catalogue_refresh import RawServer
from toolward.lab.rugpull.cases import Case, Play
from toolward.lab.rugpull.stage import Stage
from toolward.model.call import Era


def attack_directly(stage: Stage) -> tuple[bool, str]:
    """Play the case against a client that trusts what it is told; whether the attack works, and how."""
    case = stage.case
    listed, answered = _look(stage)
    if case.play is Play.ARRIVAL:
        name = case.call
        return any(each["name"] == name for each in listed), "listed and called without a question"
    for _ in range(case.turn_at_call - 1):
        _look(stage)
    if not case.turn_at_call:
        stage.turn()
    later, answered_later = _look(stage)
    if case.play is Play.BEHAVIOUR:
        return answered != answered_later, "its other answer reaches the model"
    if case.play is Play.FILE or case.info_after:
        return answered_later == answered, "another program answers, and nobody is told"
    return _text(listed) != _text(later), "its other definition reaches the model"


def _look(stage: Stage) -> tuple[list[dict[str, Any]], str]:
    """What a client sees in one session: the list, and the answer of the case's tool."""
    server = RawServer(stage.command(), cwd=stage.folder, env={})
    try:
        hello = {
            "protocolVersion": Era.HANDSHAKE.value,
            "capabilities": {},
            "clientInfo": {"name": "client", "version": "1"},
        }
        server.request("initialize", hello)
        listed: list[dict[str, Any]] = server.request("tools/list", {})["result"]["tools"]
        called = {"name": _called(stage.case, listed), "arguments": {}}
        answer: Mapping[str, Any] = server.request("tools/call", called)["result"]
        return listed, str(answer["content"][0]["text"])
    finally:
        server.close()


def _called(case: Case, listed: list[dict[str, Any]]) -> str:
    names = [each["name"] for each in listed]
    return case.call if case.call in names else str(names[0])


def _text(listed: list[dict[str, Any]]) -> bytes:
    return orjson.dumps(listed, option=orjson.OPT_SORT_KEYS)
