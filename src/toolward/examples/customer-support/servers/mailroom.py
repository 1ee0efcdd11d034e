"""The mail stand-in: an SMTP server that sorts what it takes into Maildirs, which an IMAP server then shows.

    python mailroom.py HOST PORT DIR

Mail to the shop's own mailbox lands in DIR/support, where IMAP (`pymap ... maildir DIR`) finds it; all other
mail lands in DIR/world, which stands for everybody else's mailboxes. Needs `aiosmtpd` and `pymap`.
"""

from __future__ import annotations

import asyncio
import mailbox
import sys
from email import message_from_bytes
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pysasl.hashing import BuiltinHash

OURS = "support@lanterns.example"
PASSWORD = "of-no-value"  # noqa: S105 -- of a mailbox that lives as long as this process


class Sorter:
    """What `aiosmtpd` asks for each message."""

    def __init__(self, folder: Path) -> None:
        self._ours = mailbox.Maildir(folder / "support")
        self._world = mailbox.Maildir(folder / "world")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        """Each recipient's copy, with the address that it was really sent to."""
        del server, session
        for recipient in envelope.rcpt_tos:
            message = message_from_bytes(envelope.content)
            message["Delivered-To"] = recipient
            (self._ours if recipient.lower() == OURS else self._world).add(message)
        return "250 taken"


def signs_in(server: Any, session: Any, envelope: Any, mechanism: str, said: Any) -> AuthResult:
    """The shop's own mail program signs in before it sends; strangers' mail servers do not."""
    del server, session, envelope, mechanism
    known = isinstance(said, LoginPassword) and said == LoginPassword(OURS.encode(), PASSWORD.encode())
    return AuthResult(success=known)


def write_account(folder: Path) -> None:
    """The one mailbox that can be signed in to, as pymap's files say it."""
    folder.joinpath("pymap-etc-passwd").write_text(f"{OURS}:::::support:\r\n", encoding="utf-8")
    said = BuiltinHash().hash(PASSWORD).replace(":", "\\:")
    folder.joinpath("pymap-etc-shadow").write_text(f"{OURS}:{said}::::::\r\n", encoding="utf-8")


async def main(host: str, port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    write_account(folder)
    sorter = Sorter(folder)

    def answer() -> SMTP:
        return SMTP(sorter, hostname="mailroom.example", authenticator=signs_in, auth_require_tls=False)

    server = await loop.create_server(answer, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
