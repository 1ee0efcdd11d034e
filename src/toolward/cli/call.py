"""`toolward call`: one call through the whole corridor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
import orjson

from toolward.cli.exits import Exit, exit_for
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import Screen
from toolward.errors import ReasonCode as Code
from toolward.kernel.resilience.standing_in import STANDS_IN

SHOWN_CHARS: Final = 80
"""Of what was given, in an error."""


@click.command("call")
@click.argument("tool", metavar="SERVER/TOOL")
@click.argument("words", nargs=-1, metavar="[NAME=VALUE | JSON]...")
@click.option(
    "--arg", "-a", "pairs", multiple=True, metavar="NAME=VALUE", help="One argument; JSON, else text."
)
@click.option("--json-args", default="", metavar="JSON", help="All arguments as one JSON object.")
@click.option("--prompt", default="", help="The user's own words, for provenance.")
@click.option("--session", default="", help="An earlier call's session, with its taint.")
@click.option("--once", default="", metavar="KEY", help="An idempotency key: a retry does nothing twice.")
@verb
def command(
    frame: Frame, tool: str, words: tuple[str, ...], pairs: tuple[str, ...], json_args: str, **said: str
) -> None:
    """Call SERVER/TOOL as yourself, with arguments as NAME=VALUE or as one JSON object.

    Exits 1 when it is denied, 7 when the tool failed, 8 when a person must agree.
    """
    if not all(tool.partition("/")):
        raise click.UsageError(f"`{tool}` is not SERVER/TOOL; see `toolward tools list`")
    objects = [word for word in words if word.lstrip().startswith("{")]
    if len(objects) + bool(json_args) > 1:
        raise click.UsageError("give one JSON object of arguments, and the rest as NAME=VALUE")
    given = tuple(word for word in words if word not in objects)
    arguments = read_arguments((*pairs, *given), json_args or "".join(objects))
    with frame.link(on_progress=frame.screen.note) as link:
        reply = link.invoke(
            "call",
            tool=tool,
            arguments=arguments,
            prompt=said["prompt"],
            session=said["session"],
            idempotency_key=said["once"],
        )
    error, result = reply.get("error"), reply.get("result")
    if frame.screen.as_json:
        frame.screen.result(reply)
    elif error is None:
        _show_result(frame.screen, result)
        if (first := reply["receipt"].get(STANDS_IN)) is not None:
            frame.screen.warn(
                f"another tool answered: the circuit of {first} is open, and this is its fallback"
            )
        frame.screen.note(
            f"call {reply['call_id']}, session {reply['session']}, record {reply['receipt'].get('index')}",
            style="dim",
        )
    if error is not None:
        if not frame.screen.as_json:
            _show_refusal(frame.screen, error, reply, tool=tool)
        leave(exit_of(error))
    if result.get("isError"):
        leave(Exit.TOOL_FAILED)


def read_arguments(pairs: tuple[str, ...], json_args: str) -> dict[str, Any]:
    """The arguments of a call; `NAME=VALUE` wins over `json_args`. Raises `click.UsageError`."""
    arguments: dict[str, Any] = {}
    if json_args:
        try:
            value = orjson.loads(json_args)
        except orjson.JSONDecodeError as error:
            raise click.UsageError(f"`{json_args[:SHOWN_CHARS]}` is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise click.UsageError(f"`{json_args[:SHOWN_CHARS]}` is not a JSON object")
        arguments = value
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"`{pair}` is not NAME=VALUE")
        try:
            arguments[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            arguments[name] = text
    return arguments


def exit_of(error: Mapping[str, Any]) -> Exit:
    """The exit code of a refusal as the corridor worded it; a tool's own error has no code of ours."""
    data = error.get("data")
    code = data.get("code") if isinstance(data, Mapping) else None
    return exit_for(code) if isinstance(code, str) else exit_for(Code.TOOL_FAILED)


def _show_result(screen: Screen, result: Mapping[str, Any]) -> None:
    shown = False
    for item in result.get("content") or ():
        if isinstance(item, Mapping) and item.get("type") == "text":
            screen.say(str(item.get("text", "")), style="red" if result.get("isError") else "")
            shown = True
    if not shown:
        screen.say(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


def _show_refusal(screen: Screen, error: Mapping[str, Any], reply: Mapping[str, Any], *, tool: str) -> None:
    data = error.get("data")
    data = data if isinstance(data, Mapping) else {}
    if data.get("code") == Code.UNKNOWN_TOOL:
        # the corridor's words are an agent's, which sees one server's list; here the whole name was given
        screen.warn(f"unknown tool: `{tool}`")
        screen.note("  see `toolward tools list`")
    else:
        screen.warn(str(data.get("reason") or error.get("message", "")))
    if data.get("remedy") and data.get("code") != Code.UNKNOWN_TOOL:
        screen.note(f"  {data['remedy']}")
    details = data.get("details") or {}
    for name, value in details.items():
        screen.note(f"  {name}: {value}")
    if "approval" in details and data.get("code") == Code.APPROVAL_REQUIRED:
        screen.note(f"  look and answer: toolward approvals show {details['approval']}")
        screen.note(f"  then call again with --session {reply['session']}")
    call_id = reply["call_id"] or "(never admitted)"
    screen.note(f"  call {call_id}, code {data.get('code', error.get('code'))}", style="dim")
