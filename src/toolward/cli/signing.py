"""`toolward tools sign`: put your name under a version."""

from __future__ import annotations

import base64
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import short
from toolward.errors import Rejected
from toolward.rules.dsse import sign


@click.command("sign")
@click.argument("tool")
@click.option("--digest", default="", help="Which version; else what is served.")
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Your Ed25519 private key (PEM). Its public key stands under `signers` in toolward.yaml.",
)
@verb
def sign_tool(frame: Frame, tool: str, digest: str, key: str) -> None:
    """Sign a version of TOOL: an in-toto statement of it, in a DSSE envelope. The key stays here."""
    private = _private(Path(key))
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    said = frame.ask("tools.statement", tool=tool, digest=digest)
    frame.screen.note(f"signing as {public}")
    envelope = sign(said["statement"].encode(), private)
    found = frame.ask("tools.signed", tool=tool, digest=said["digest"], envelope=envelope)
    if frame.screen.as_json:
        frame.screen.result({**found, "envelope": envelope})
    else:
        frame.screen.say(f"{tool} {short(said['digest'])} is signed by {found['signer']}", style="green")


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise Rejected(
            f"`{path}` is no private key that can be read",
            remedy="make one: openssl genpkey -algorithm ed25519 -out FILE",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Rejected(f"`{path}` is no Ed25519 key", remedy="openssl genpkey -algorithm ed25519 -out FILE")
    return key


COMMANDS = (sign_tool,)
