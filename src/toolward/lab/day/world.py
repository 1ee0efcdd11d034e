"""The day's world, made anew for each day: servers that are imported, a web site, a mailbox.

The mailbox is the one of the first example (`customer-support`): a real SMTP server, a real IMAP server and a
real MCP server in front of them.
"""

from __future__ import annotations

import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import override

from toolward import examples
from toolward.lab.day.work import furnish
from toolward.lab.examples.mailroom import Mailroom, Ports, open_mailroom
from toolward.lab.interop import INIT_TIMEOUT_S, CommandLine, import_servers
from toolward.lab.interop_servers import PAGE, Place, RealServer, real_servers
from toolward.lab.toolchain import BUILD, SetupFailed

MAIL: Final = "mail"
DESCRIBED: Final = "described"
"""The server whose only tool has the attacker's words in its description."""
_EXAMPLE: Final = "customer-support"
_DESCRIBER: Final = Path(__file__).with_name("describer.py")


@dataclass(slots=True)
class Site:
    """A page that may hold more than it should, and an attacker's collector."""

    url: str = ""
    body: bytes = PAGE
    collected: list[str] = field(default_factory=list)  # what was asked of the collector

    @property
    def collector(self) -> str:
        """Where an attacker wants things sent."""
        return f"{self.url}collect"


@contextmanager
def open_site() -> Iterator[Site]:
    """The site, until the block ends."""
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        """Whatever is asked for."""

        def do_GET(self) -> None:
            """The page."""
            if self.path.startswith("/collect"):
                site.collected.append(self.path)
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(site.body)))
            self.end_headers()
            self.wfile.write(site.body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def open_mailbox(home: Path) -> Iterator[Mailroom]:
    """The example's mailbox with a home of its own, until the block ends. Raises `SetupFailed`."""
    ports = Ports.free()
    shutil.rmtree(home, ignore_errors=True)
    examples.copy(_EXAMPLE, home, mail_port=ports.mcp)
    with open_mailroom(
        home, ports, environments=(BUILD / "examples" / "environments").absolute()
    ) as mailroom:
        yield mailroom


def prepare(
    toolward: CommandLine, place: Place, mailroom: Mailroom, *flags: str, node: bool, described: bool
) -> None:
    """A ward with every server that can be called; `flags` are of `toolward init`.

    With `described` a person approves the poisoned description over its finding. Raises `SetupFailed`.
    """
    furnish(place)
    wanted = [each for each in real_servers(place) if each.tool and (node or not each.needs_node)]
    mail = RealServer(name=MAIL, url=f"http://127.0.0.1:{mailroom.ports.mcp}/mcp")
    describer = RealServer(name=DESCRIBED, command=sys.executable, package=str(_DESCRIBER))
    errors = import_servers(toolward, [*wanted, mail, describer], place, *flags)
    if wrong := {name: text for name, text in errors.items() if text}:
        raise SetupFailed(f"servers did not start: {wrong}")
    # the labels that the example's operator wrote for this mail server, and a person's approval of them
    shutil.copy(
        examples.HOME / _EXAMPLE / "ward" / "tools" / "mail.yaml", toolward.ward / "tools" / "mail.yaml"
    )
    toolward.run("tools", "list", "--server", MAIL, "--refresh", timeout_s=INIT_TIMEOUT_S)
    looked = [f"{MAIL}/{tool}" for tool in ("list_emails_metadata", "get_emails_content", "send_email")]
    if described:
        looked += [f"{DESCRIBED}/rates", "--accept-findings"]
    toolward.run("tools", "approve", *looked, "--note", "its labels were read", timeout_s=INIT_TIMEOUT_S)
