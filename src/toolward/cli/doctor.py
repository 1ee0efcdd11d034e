"""`toolward doctor`: look for what is amiss on this machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from toolward.cli.check import file_flaws
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.link import DaemonLink, connect_daemon
from toolward.cli.place import Place, find_person
from toolward.config.daemon_file import is_taken
from toolward.errors import ToolwardError

FREE_BYTES_MIN: Final = 512 * 1024 * 1024
"""Below this the audit log may fill the disk, and then every call is refused."""
BUILT: Final = dt.date(2026, 1, 1)
"""A clock before this is wrong, and so are the times in the record."""
_MARKS = {"ok": ("ok      ", "green"), "warning": ("warning ", "yellow"), "bad": ("bad     ", "bold red")}


@dataclass(frozen=True, slots=True)
class Look:
    """What was looked at. `state` is ok, warning or bad."""

    what: str
    state: str
    text: str
    remedy: str = ""


@click.command("doctor")
@click.argument("ward", required=False, default="")
@click.option("--servers", is_flag=True, help="Also connect to every server now.")
@verb
def command(frame: Frame, ward: str, servers: bool) -> None:
    """Look at the machine, the ward, its keys, its daemon and its log. Exits 1 if something is bad."""
    if ward:
        frame.ward = ward
    place = frame.place
    daemon = connect_daemon(place.state, _person(frame, place))
    looks = [*_machine(place), *_keys(place), *_people(frame, place), *_approver(frame, place), *_ward(place)]
    if not any(look.what == "ward" and look.state == "bad" for look in looks):
        looks += _running(frame, daemon, place, servers=servers)
    if frame.screen.as_json:
        frame.screen.result([asdict(look) for look in looks])
    else:
        for look in looks:
            mark, style = _MARKS[look.state]
            frame.screen.say(f"{mark}{look.what:<13} {look.text}", style=style if look.state != "ok" else "")
            if look.remedy and look.state != "ok":
                frame.screen.say(f"{'':<22}{look.remedy}")
    if any(look.state == "bad" for look in looks):
        leave(Exit.FINDING)


# --- the machine -------------------------------------------------------------------------------------


def _machine(place: Place) -> Iterator[Look]:
    import apsw  # noqa: PLC0415 -- only to say its version

    yield Look("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield Look("sqlite", "ok", f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})")
    today = dt.datetime.now(dt.UTC).date()  # noqa: TID251 -- the machine's own clock is looked at
    if today < BUILT:
        yield Look("clock", "bad", f"it says {today}", "set the clock: every record carries its time")
    else:
        yield Look("clock", "ok", f"{today} (UTC)")
    free = shutil.disk_usage(place.path if place.path.is_dir() else Path("/")).free
    text = f"{free // (1024 * 1024)} MiB free"
    if free < FREE_BYTES_MIN:
        yield Look("disk", "warning", text, "free some: with a full disk every call is refused")
    else:
        yield Look("disk", "ok", text)
    yield from _cages()


def _cages() -> Iterator[Look]:
    """What this host lets cages be, tried for real."""
    from toolward.adapters.sandboxes.probing import probe  # noqa: PLC0415 -- starts a process

    try:
        findings = asyncio.run(probe()).findings()
    except ToolwardError as error:
        yield Look("cages", "warning", error.reason.text, error.reason.remedy)
        return
    for finding in findings:
        yield Look(finding.what, "ok" if finding.works else "warning", finding.text, finding.remedy)


def _keys(place: Place) -> Iterator[Look]:
    """The log's keys and the secrets file: for their owner only."""
    directory = place.state / "keys"
    if not directory.is_dir():
        yield Look("keys", "ok", "none yet; the first start makes them")
        return
    found = [directory, *sorted(directory.iterdir())]
    secrets = place.state / "secrets.json"
    found += [secrets] if secrets.exists() else []
    bad = [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in bad:
        yield Look("keys", "bad", f"{path} is open to other users", f"chmod go= {path}")
    if not bad:
        yield Look("keys", "ok", f"{len(found)} files, for their owner only")


def _people(frame: Frame, place: Place) -> Iterator[Look]:
    path = place.person_file(os.environ)
    if path is None:
        return
    try:
        has_one = bool(find_person(place, frame.person))
    except ToolwardError as error:
        yield Look("person", "bad", error.reason.text, error.reason.remedy)
        return
    if not has_one:
        yield Look(
            "person",
            "warning",
            "you have no credential for this ward",
            "toolward keys create --person, by one who has",
        )
    elif path.exists():
        yield Look(
            "person",
            "warning",
            f"{path} can be read by every process of this user, agents included",
            "run agents as another operating-system user, or keep the credential elsewhere (TOOLWARD_PERSON)",
        )
    else:
        yield Look("person", "ok", "your credential is not kept in a file of this user")


def _approver(frame: Frame, place: Place) -> Iterator[Look]:
    """Whether who approves and the agents that ask are one user to the operating system."""
    if not place.state.is_dir() or not _person(frame, place):
        return
    shared = _clients_here()
    if place.state.stat().st_uid == os.getuid():
        shared.append("the gateway")
    if not shared:
        yield Look("approvals", "ok", "you approve as another operating-system user than agents and gateway")
        return
    yield Look(
        "approvals",
        "warning",
        f"whoever approves shares an operating-system user with {', '.join(shared)}: an agent that gets at "
        "that user's files or memory can answer its own questions",
        "let agents and gateway run as another user than the one who approves",
    )


def _clients_here() -> list[str]:
    """MCP clients of this user that are pointed at a gateway: their agents run as this user."""
    from toolward.config.clients.connecting import ENTRY, Client, declared  # noqa: PLC0415
    from toolward.config.clients.files import Desktop, client_file, read_client  # noqa: PLC0415
    from toolward.config.clients.jsonc import JsoncError  # noqa: PLC0415

    desktop = Desktop(
        project=None, here=Path.cwd(), home=Path.home(), environ=os.environ, platform=sys.platform
    )
    found = []
    for client in Client:
        try:
            names = declared(read_client(client_file(client, desktop)), client)
        except (ToolwardError, JsoncError, OSError):
            continue  # no such client, or a file that no client reads servers out of
        if ENTRY in names:
            found.append(client.value)
    return found


def _person(frame: Frame, place: Place) -> str:
    try:
        return find_person(place, frame.person)
    except ToolwardError:
        return ""  # `_people` says what is wrong with it


# --- the ward ----------------------------------------------------------------------------------------


def _ward(place: Place) -> Iterator[Look]:
    flaws = file_flaws(place.path)
    if flaws:
        first = flaws[0]
        text = f"{first.file}:{first.line}: {first.text}" if first.line else f"{first.file}: {first.text}"
        yield Look("ward", "bad", text, f"{len(flaws)} findings: toolward check {place.path}")
        return
    from toolward.config.ward import load_ward  # noqa: PLC0415

    config = load_ward(place.path).config
    yield Look("ward", "ok", f"{config.name}, profile {config.profile.value}, {len(config.servers)} servers")
    unsafe = [name for name in ("anonymous", "allow_all") if getattr(config.unsafe, name)]
    unsafe += [f"unsafe_no_sandbox of {name}" for name, it in config.servers.items() if it.unsafe_no_sandbox]
    if unsafe:
        yield Look("unsafe", "bad", f"set: {', '.join(unsafe)}", "take it out of toolward.yaml")
    else:
        yield Look("unsafe", "ok", "nothing unsafe is set")
    if config.profile.value == "observe":
        yield Look(
            "profile", "warning", "observe lets pass what guarded would refuse", "set `profile: guarded`"
        )


def _running(frame: Frame, daemon: DaemonLink | None, place: Place, *, servers: bool) -> Iterator[Look]:
    if daemon is None and is_taken(place.state):
        yield Look("daemon", "warning", "another process has the ward open and does not answer", "try again")
        return
    yield Look("daemon", "ok", f"answers on {daemon.socket}" if daemon else "not running")
    if daemon is not None:
        yield _health(daemon)
    yield from _attempt("state", lambda: _state(frame))
    yield from _attempt("log", lambda: _log(frame))
    if servers:
        yield from _attempt("servers", lambda: _servers(frame))


def _attempt(what: str, look: Callable[[], Iterator[Look]]) -> Iterator[Look]:
    try:
        yield from look()
    except ToolwardError as error:
        yield Look(what, "bad", error.reason.text, error.reason.remedy)


def _health(daemon: DaemonLink) -> Look:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(daemon.socket)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
    except OSError as error:
        return Look("health", "bad", f"no answer: {error}", "restart the daemon")
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return Look("health", "ok", "calls are served")
    return Look("health", "bad", "calls are refused", "toolward status says why")


def _state(frame: Frame) -> Iterator[Look]:
    status: dict[str, Any] = frame.ask("status")
    states = ", ".join(f"{count} {state}" for state, count in sorted(status["tools"].items())) or "none"
    quarantined = status["tools"].get("quarantined", 0)
    state = "warning" if quarantined or not status["tools"] else "ok"
    yield Look("tools", state, states, "toolward tools list; toolward tools diff SERVER/TOOL")
    if status["open_incidents"]:
        yield Look("incidents", "warning", f"{status['open_incidents']} open", "toolward incidents --open")


def _log(frame: Frame) -> Iterator[Look]:
    verdict = frame.ask("audit.verify")
    yield Look("log", "ok" if verdict["ok"] else "bad", verdict["sentence"], "toolward audit verify")


def _servers(frame: Frame) -> Iterator[Look]:
    for row in frame.ask("refresh"):
        if row["error"]:
            yield Look("server", "bad", f"{row['server']}: {row['error']}")
        else:
            yield Look("server", "ok", f"{row['server']}: {row['tools']} tools")
