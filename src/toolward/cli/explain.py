"""`toolward explain`: why a call would be allowed, asked or denied, without making it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from toolward.cli.call import read_arguments
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import STYLES, Screen
from toolward.errors import Rejected
from toolward.rules.canonical import parse_strict

_EXITS = {"deny": Exit.FINDING, "ask": Exit.APPROVAL_REQUIRED}
_KNOWN = frozenset(
    {"tool", "arguments", "user", "agent", "roles", "prompt", "tainted", "session"}
    | {"objective", "step", "confidence", "path"}
)


@click.command("explain")
@click.argument("what", metavar="CALL.json|SERVER/TOOL")
@click.option(
    "--arg", "-a", "pairs", multiple=True, metavar="NAME=VALUE", help="With SERVER/TOOL: one argument."
)
@click.option("--json-args", default="", metavar="JSON", help="With SERVER/TOOL: all arguments.")
@click.option("--user", default="", help="As this user; default: you.")
@click.option("--agent", default="", help="As this agent.")
@click.option("--prompt", default="", help="As if the user had said this.")
@click.option("--tainted", is_flag=True, help="As if the session had seen an untrusted result.")
@click.option("--session", default="", help="In this session, with its taint, prompt and step.")
@click.option("--objective", default="", help="As if the session had been opened for it.")
@click.option("--step", default="", help="With --objective: in this step; default: its first.")
@click.option(
    "--confidence", type=float, default=None, help="As if the agent said that it is so sure, 0 to 1."
)
@click.option(
    "--secure", "path", flag_value="secure", default="", help="As if the host wanted the secure path."
)
@verb
def command(frame: Frame, what: str, pairs: tuple[str, ...], json_args: str, **others: Any) -> None:
    """Explain a call: the decision, the policies that made it with file and line, each argument's label.

    CALL.json (`-` for stdin) is `{"tool": "server/name", "arguments": {…}}`, optionally with user, agent,
    roles, prompt, tainted, session, objective, step, confidence, path. Exits 0 for allow, 1 for deny, 8 for
    ask.
    """
    parameters = _read(what)
    parameters.setdefault("arguments", {})
    parameters["arguments"] |= read_arguments(pairs, json_args)
    parameters |= {name: value for name, value in others.items() if value or name == "confidence"}
    if parameters.get("confidence") is None:
        _ = parameters.pop("confidence", None)
    found = frame.ask("explain", **parameters)
    if frame.screen.as_json:
        frame.screen.result(found)
    else:
        _show(frame.screen, str(parameters["tool"]), found)
    leave(_EXITS.get(found["decision"], Exit.OK))


def _read(what: str) -> dict[str, Any]:
    if what != "-" and not Path(what).is_file() and "/" in what and not what.endswith(".json"):
        return {"tool": what}
    if what != "-" and not Path(what).is_file():
        raise click.UsageError(f"`{what}` is neither a file nor SERVER/TOOL")
    data = sys.stdin.buffer.read() if what == "-" else Path(what).read_bytes()
    value = parse_strict(data)
    if not isinstance(value, dict) or not isinstance(value.get("tool"), str):
        raise Rejected(f"`{what}` names no tool", remedy='write {"tool": "server/name", "arguments": {…}}')
    unknown = sorted(set(value) - _KNOWN)
    if unknown:
        raise Rejected(f"`{what}` holds `{unknown[0]}`", remedy=f"it may hold {', '.join(sorted(_KNOWN))}")
    if not isinstance(value.get("arguments", {}), dict):
        raise Rejected(f"`arguments` of `{what}` is not an object", remedy="write an object")
    return value


def _show_grounds(screen: Screen, found: Mapping[str, Any]) -> None:
    """What the decision stands on."""
    if found.get("path"):
        screen.say(f"  path: {found['path']}, {found['path_why']}")
    if found.get("asked_for") is not None:
        said = "ask for it" if found["asked_for"] else "do not ask for it"
        screen.say(f"  words: the session's own {said}")
    if found.get("why_unproven"):
        screen.say(f"  not proven: {found['why_unproven']}")
    if told := found.get("unexplained"):
        screen.say(f"  tells: {_told(told)}")
    if found.get("undo"):
        screen.say(f"  undo: {found['undo']}")


def _told(told: Mapping[str, Any]) -> str:
    """What reaches the server after a confidential read, in a sentence."""
    server, bits, own = told["server"], told["bits"], told["of_this_call"]
    if not bits:
        return f"{server} only what the user said, or what was read before anything confidential"
    words = ", ".join(f"`{word}`" for word in told["words"])
    why = f"nothing explains {words}" if words else "it chooses among what was read, or says it in an odd way"
    whole = f", {bits} with what it was told before" if bits > own else ""
    return f"{server} what may be confidential: {own} bits{whole}" + (f"; {why}" if own else "")


def _show(screen: Screen, tool: str, found: Mapping[str, Any]) -> None:
    decision = found["decision"]
    screen.say(f"{decision.upper()}  {tool}", style=f"bold {STYLES.get(decision, '')}".strip())
    reason = found.get("reason") or found.get("would")
    if reason:
        would = "it is let pass, and would be refused: " if decision == "allow" else ""
        screen.say(f"  {would}{reason['reason']}")
        if reason.get("remedy"):
            screen.say(f"  {reason['remedy']}")
    for error in found.get("errors") or ():
        screen.say(f"  error: {error}", style="red")
    _show_grounds(screen, found)
    approval = found.get("approval")
    if approval:
        screen.say(
            f"  needs {approval['quorum']} of {', '.join(approval['roles']) or 'anybody who may approve'}"
        )
    for policy in found["policies"]:
        screen.say(f"\n{policy['file']}:{policy['line']}  {policy['id']}", style="cyan")
        screen.say(policy["text"].strip())
    if found.get("arguments"):
        screen.say("")
        screen.table(
            ("argument", "integrity", "confidentiality", "why", "seen in"),
            [
                (
                    each["pointer"],
                    each.get("integrity") or each["label"].get("integrity", ""),
                    each["label"].get("confidentiality", ""),
                    each.get("why", ""),
                    ", ".join(each["sources"]),
                )
                for each in found["arguments"]
            ],
        )
    if found.get("context"):
        screen.note(f"\ncontext {orjson.dumps(found['context']).decode()}", style="dim")
