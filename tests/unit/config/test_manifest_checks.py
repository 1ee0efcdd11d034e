"""A misspelt name in a manifest is found, since what is said there would be used by nobody."""

from __future__ import annotations

from pathlib import Path

from toolward.config.ward import load_ward, manifest_findings

CONFIG = "version: 1\nname: w\nservers:\n  chat: {command: chat-server}\n"
MANIFEST = """\
server: chat
tools:
  get_chanels: {effect: read_only}
  invite_user:
    effect: irreversible
    arguments:
      usr_mail: {role: authority, kind: address}
      name: {role: content}
  post: {effect: irreversible, arguments: {anything: {role: content}}}
"""


def listed(*names: str, **more: object) -> dict[str, object]:
    return {"inputSchema": {"type": "object", "properties": {name: {} for name in names}, **more}}


def test_tools_and_arguments_that_the_server_does_not_list_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "toolward.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tools" / "chat.yaml").write_text(MANIFEST, encoding="utf-8")
    ward = load_ward(tmp_path)
    assert manifest_findings(ward, {}) == [], "of a server that is not known yet nothing is said"
    definitions = {
        "chat": {
            "get_channels": listed(),
            "invite_user": listed("user_mail", "name"),
            "post": listed(additionalProperties=True),
        }
    }
    assert [error.diagnostics() for error in manifest_findings(ward, definitions)] == [
        "tools/chat.yaml:3: `chat` lists no tool `get_chanels`, so nothing here is used; did you mean `get_channels`?",
        "tools/chat.yaml:7: `invite_user` has no argument `usr_mail`; did you mean `user_mail`?",
    ]
