"""`toolward label`: labels for a tool, proposed from what it answered, for a person to accept."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.command("label")
@click.argument("tool", metavar="SERVER/TOOL")
@verb
def command(frame: Frame, tool: str) -> None:
    """Propose labels for SERVER/TOOL from its definition and its recorded results; nothing is changed.

    Copy what you agree to into `tools/SERVER.yaml`, reload, and approve the new version. See
    docs/labelling.md.
    """
    found = frame.ask("tools.label", tool=tool)
    screen = frame.screen
    if screen.as_json:
        screen.result(found)
        return
    screen.table(
        ("argument", "role", "kind"),
        [(name, each["role"], each["kind"]) for name, each in found["arguments"].items()],
    )
    if not found["results"]:
        screen.note("it has answered nothing yet that is recorded: call it, then ask again")
        return
    screen.table(
        ("field", "integrity", "confidentiality", "why"),
        [
            (each["field"], each["integrity"], each["confidentiality"], each["why"])
            for each in found["fields"]
        ],
    )
    trusted = [each["field"] for each in found["fields"] if each["integrity"] == "trusted"]
    if trusted:
        server, _, name = tool.partition("/")
        screen.say(f"\n# tools/{server}.yaml, under `tools: {name}:`, what you agree to")
        screen.say(f"    trusted_fields: [{', '.join(trusted)}]")
    for each in found["fields"]:
        if each["confidentiality"] == "confidential":
            screen.say(f"    result_fields: {{/**/{each['field']}: {{confidentiality: confidential}}}}")
