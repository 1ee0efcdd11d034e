"""One way to run a verb: the ward's daemon if it answers, else the ward itself, opened for a moment."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from typing_extensions import override

from toolward.cli.place import Place
from toolward.config.daemon_file import is_taken, read_note
from toolward.errors import GatewayError, ReasonCode, ToolwardError, WardError

if TYPE_CHECKING:
    from toolward.bootstrap.assembly import House

WAIT_S: Final = 10.0
"""How long another command, or a daemon that is starting, is waited for."""
_PAUSE_S: Final = 0.05


class Link(Protocol):
    """A ward that answers."""

    def invoke(self, verb: str, **parameters: Any) -> Any:
        """Run a verb of the desk. Raises `ToolwardError`, also for what the daemon refused."""
        ...

    @property
    def through_daemon(self) -> bool:
        """Whether a daemon answers, so that others may be at work at the same time."""
        ...


@contextmanager
def linked(place: Place, person: str, *, on_progress: Callable[[str], None] | None = None) -> Iterator[Link]:
    """The ward at `place`, asked with the person's credential if there is one.

    Waits up to `WAIT_S` for another command that has the ward open. Raises `WardError` after that, and
    for a ward that can not be opened.
    """
    until = time.monotonic() + WAIT_S
    while True:
        daemon = connect_daemon(place.state, person)
        if daemon is not None:
            yield daemon
            return
        if not is_taken(place.state):
            break
        if time.monotonic() > until:
            raise WardError(
                "another toolward process has this ward open and does not answer",
                file=str(place.state),
                remedy="wait for it or stop it, and try again",
            )
        time.sleep(_PAUSE_S)
    with opened(place, person, on_progress=on_progress) as link:
        yield link


# --- through the daemon ------------------------------------------------------------------------------


class DaemonLink:
    """The desk of a running daemon, over its Unix socket."""

    through_daemon = True

    def __init__(self, path: str, person: str, *, log: str = "") -> None:
        self.socket = path
        self._person = person
        self._log = log

    def invoke(self, verb: str, **parameters: Any) -> Any:
        """As `Link.invoke`. A verb may take as long as it needs: installing a server takes minutes."""
        headers = {"Content-Type": "application/json", "Host": "localhost"}
        if self._person:
            headers["Authorization"] = f"Bearer {self._person}"
        connection = _UnixConnection(self.socket)
        try:
            connection.request("POST", f"/admin/{verb}", orjson.dumps(parameters), headers)
            answer = connection.getresponse()
            body = orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            where = f"`{self._log}`" if self._log else "the terminal where it ran"
            raise GatewayError(
                f"the daemon stopped answering: {type(error).__name__}",
                code=ReasonCode.GATEWAY_UNAVAILABLE,
                remedy=f"see what it wrote to {where}, and start it again with `toolward up`;"
                " look at what was done before you ask for it again",
            ) from error
        finally:
            connection.close()
        if "error" in body:
            raise Answered(body["error"])
        return body["result"]


class Answered(ToolwardError):
    """What the daemon refused, in its own words."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        details = error.get("details") or {}
        super().__init__(
            str(error.get("reason", "")),
            code=ReasonCode(str(error.get("code", ReasonCode.INTERNAL.value))),
            remedy=str(error.get("remedy", "")),
            details=tuple((str(name), str(value)) for name, value in details.items()),
        )
        self._file, self._line = str(details.get("file", "")), str(details.get("line", "0"))

    @override
    def diagnostics(self) -> str:
        """With file and line, as a `WardError` has them."""
        line = f"{self._line}:" if self._line != "0" else ""
        return f"{self._file}:{line} {self.reason.sentence()}" if self._file else self.reason.sentence()


def connect_daemon(state: Path, person: str) -> DaemonLink | None:
    """The daemon that owns the state, if one accepts connections."""
    note = read_note(state)
    if note is None:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.connect(note.socket)
        except OSError:
            return None
    return DaemonLink(note.socket, person, log=note.log)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


# --- in this process ---------------------------------------------------------------------------------


class HouseLink:
    """The desk of a ward that this process has open."""

    through_daemon = False

    def __init__(self, house: House, runner: asyncio.Runner, person: str) -> None:
        self.house = house
        self._runner = runner
        self._person = person

    def invoke(self, verb: str, **parameters: Any) -> Any:
        """As `Link.invoke`. Parameters and results pass through JSON, as they do with a daemon."""
        from toolward.governance.desk import invoke  # noqa: PLC0415 -- loaded with the house
        from toolward.ports.identity import Credentials  # noqa: PLC0415

        shown = Credentials(bearer=self._person, os_uid=None if self._person else os.getuid())
        by = self.house.identity.authenticate(shown)
        clean = orjson.loads(orjson.dumps(parameters))
        return orjson.loads(orjson.dumps(self._runner.run(invoke(self.house.desk, verb, clean, by))))

    def run(self, work: Any) -> Any:
        """Run a coroutine on the house's loop."""
        return self._runner.run(work)

    def sign_in(self, person: str) -> None:
        """Show this credential from now on."""
        self._person = person


@contextmanager
def opened(
    place: Place, person: str, *, on_progress: Callable[[str], None] | None = None
) -> Iterator[HouseLink]:
    """The ward, opened by this process alone. Raises `WardError`, `StoreUnavailable`."""
    from toolward.bootstrap import open_house  # noqa: PLC0415 -- most verbs talk to a daemon and never need it

    with asyncio.Runner() as runner:
        house = open_house(place.path, on_progress=on_progress)
        link = HouseLink(runner.run(house.__aenter__()), runner, person)
        try:
            yield link
        finally:
            runner.run(house.__aexit__(None, None, None))
