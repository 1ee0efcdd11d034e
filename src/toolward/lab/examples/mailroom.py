"""The mail of an example: a real SMTP server, a real IMAP server, and a real MCP server in front of them."""

from __future__ import annotations

import mailbox
import os
import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Final

from toolward.lab.toolchain import SetupFailed, make_environment

START_S: Final = 60.0
"""Until a server listens; the slowest imports for some seconds on a busy machine."""
END_S: Final = 10.0
_LOOK_S: Final = 0.05
_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the three listen."""

    smtp: int
    imap: int
    mcp: int

    @staticmethod
    def free() -> Ports:
        """Three that nobody listens on at this moment."""
        probes = [socket.create_server((_HOST, 0)) for _ in range(3)]
        smtp, imap, mcp = (int(probe.getsockname()[1]) for probe in probes)
        for probe in probes:
            probe.close()
        return Ports(smtp=smtp, imap=imap, mcp=mcp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailroom:
    """Three servers that run."""

    ports: Ports
    folder: Path

    def arrives(self, message: bytes) -> None:
        """Somebody out there sends the shop a mail, over SMTP."""
        with smtplib.SMTP(_HOST, self.ports.smtp) as link:
            link.send_message(message_from_bytes(message))

    def delivered(self) -> list[tuple[str, str]]:
        """(address, text) of every mail that left for the world."""
        found = []
        for message in mailbox.Maildir(self.folder / "world"):
            body = message.get_payload(decode=True)
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else message.as_string()
            found.append((str(message["Delivered-To"]), text))
        return found


@contextmanager
def open_mailroom(home: Path, ports: Ports, *, environments: Path) -> Iterator[Mailroom]:
    """The servers of the example that was copied to `home`, until the block ends. Raises `SetupFailed`."""
    requirements = (home / "servers" / "requirements.txt").read_text("utf-8").split()
    python = make_environment(environments / "mail", requirements)
    folder = home / "mailroom"
    folder.mkdir()
    settings = {
        **_settings(home / "servers" / "mail.env"),
        "MCP_EMAIL_SERVER_IMAP_PORT": str(ports.imap),
        "MCP_EMAIL_SERVER_SMTP_PORT": str(ports.smtp),
    }
    pymap = (python.with_name("pymap"), "--host", _HOST, "--port", str(ports.imap), "--no-tls")
    door = (python.with_name("mcp-email-server"), "streamable-http", "--host", _HOST, "--port")
    servers = _Servers(home)
    try:
        smtp = (python, home / "servers" / "mailroom.py", _HOST, str(ports.smtp), folder)
        servers.start("smtp", smtp, ports.smtp)  # first, since it makes what IMAP reads
        servers.start("imap", (*pymap, "maildir", folder), ports.imap)
        servers.start("mail", (*door, str(ports.mcp)), ports.mcp, settings)
        yield Mailroom(ports=ports, folder=folder)
    finally:
        servers.end()


def _settings(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text("utf-8").splitlines() if "=" in line]
    return dict(line.split("=", 1) for line in lines)


@dataclass(slots=True)
class _Servers:
    """What runs, each with a log in `folder`."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, name: str, command: Sequence[str | Path], port: int, env: Mapping[str, str] | None = None
    ) -> None:
        """Start one and wait until it listens. Raises `SetupFailed` with its last words."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        self.running.append(process)
        until = time.monotonic() + START_S
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((_HOST, port)) == 0:
                    return
            time.sleep(_LOOK_S)
        raise SetupFailed(f"`{name}` does not listen:\n{log.read_text('utf-8', 'replace')[-2000:]}")

    def end(self) -> None:
        """End all that run, the last one first."""
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
