"""What a webhook says of an approval, from the JSON that everybody sees. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from toolward.config.approving import WebhookConfig, WebhookFormat
from toolward.rules.canonical import canonical

APPROVE: Final = "toolward.approve"
REFUSE: Final = "toolward.refuse"
LOOK: Final = "toolward.look"
TEXT_MAX: Final = 2_800
"""Of one block; Slack takes 3 000."""
VALUE_MAX: Final = 400
_OPEN: Final = ("approval", "state", "tool", "server", "who", "reason", "policies", "need", "votes", "undo")
_WITH_ARGUMENTS: Final = ("objective", "arguments", "lineage")
_HEADLINES: Final = {
    "asked": "A call waits for a person",
    "reminded": "A call still waits for a person",
    "ended": "A call waits no longer",
}


def body_of(hook: WebhookConfig, moment: str, row: Mapping[str, Any], *, sent_at: str) -> bytes:
    """The bytes to send. Without `arguments` nothing of what the agent wrote leaves."""
    if hook.format is WebhookFormat.SLACK:
        return json.dumps(_slack(hook, moment, row)).encode()
    members = (*_OPEN, "asked_at", "expires_at", "url", *(_WITH_ARGUMENTS if hook.arguments else ()))
    data = {name: row[name] for name in members if name in row}
    return canonical({"type": f"approval.{moment}", "timestamp": sent_at, "data": data})


def _slack(hook: WebhookConfig, moment: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Block Kit. What others wrote stands as plain text, in ASCII, so that nothing in it is markup."""
    who = row["who"]
    headline = _HEADLINES[moment]
    what = f"{who['agent']}, for {who['user']}, wants to use {row['tool']}: {row['reason']}"
    if moment == "ended":
        what = f"{row['tool']} of {who['agent']}, for {who['user']}: {row['state']}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(headline, 150)},
        {"type": "section", "text": _plain(what, TEXT_MAX)},
    ]
    if hook.arguments and moment != "ended":
        blocks.append({"type": "section", "text": _plain(_arguments(row), TEXT_MAX)})
    if moment == "ended":
        said = [f"{vote['by']}: {vote['verdict']}" for vote in row["votes"]]
        if said:
            blocks.append({"type": "context", "elements": [_plain(", ".join(said), TEXT_MAX)]})
    else:
        blocks.append({"type": "context", "elements": [_plain(f"until {row['expires_at']}", 150)]})
        blocks.append({"type": "actions", "elements": _buttons(hook, row)})
    return {"text": f"{headline}: {_ascii(what)[:VALUE_MAX]}", "blocks": blocks}


def _buttons(hook: WebhookConfig, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Nobody agrees to what is not shown: without the arguments there is only a way to the page."""
    look = {"type": "button", "text": _plain("Look at it", 75), "action_id": LOOK, "url": row["url"]}
    no = {"type": "button", "text": _plain("Refuse", 75), "style": "danger"}
    refuse = {**no, "action_id": REFUSE, "value": row["approval"]}
    if not hook.people:
        return [look]
    if not hook.arguments or len(_arguments(row)) > TEXT_MAX:
        return [look, refuse]
    yes = {"type": "button", "text": _plain("Approve", 75), "style": "primary"}
    return [{**yes, "action_id": APPROVE, "value": row["approval"]}, refuse, look]


def _arguments(row: Mapping[str, Any]) -> str:
    arguments = row["arguments"] or {}
    return "\n".join(f"{_ascii(name)}: {json.dumps(value)}" for name, value in arguments.items())


def _plain(text: str, chars_max: int) -> dict[str, Any]:
    clean = _ascii(text[:chars_max])
    return {"type": "plain_text", "text": clean[:chars_max] or "-", "emoji": False}


def _ascii(text: str) -> str:
    """Spelt out, so that no character hides, turns or looks like another; line breaks stay."""
    return "".join(char if char == "\n" or " " <= char <= "~" else _spelt(char) for char in text)


def _spelt(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= _BASIC_MAX else f"\\U{ord(char):08x}"


_BASIC_MAX: Final = 0xFFFF
