"""`toolward secrets`: put secrets where the gateway finds them."""

from __future__ import annotations

import sys

import click

from toolward.cli.frame import Frame, verb
from toolward.errors import WardError


@click.group("secrets")
def command() -> None:
    """Secrets, which `${secret:NAME}` in toolward.yaml stands for. They are never shown again."""


@command.command("set")
@click.argument("name")
@verb
def set_secret(frame: Frame, name: str) -> None:
    """Store the secret NAME with the ward's provider. The value is asked for, or read from stdin.

    A running server keeps the old value until it is started again.
    """
    from toolward.adapters.secrets import EnvironmentSecrets  # noqa: PLC0415 -- keyring loads slowly
    from toolward.bootstrap.secrets import make_secrets  # noqa: PLC0415
    from toolward.config.ward import load_ward  # noqa: PLC0415

    ward = load_ward(frame.place.path)
    provider = make_secrets(ward.config, ward.path)
    if isinstance(provider, EnvironmentSecrets):
        raise WardError(
            "this ward reads its secrets from the environment of `toolward up`",
            file="toolward.yaml",
            remedy=f"set {name} there, or use `secrets: {{provider: file}}`",
        )
    if sys.stdin.isatty():
        value = click.prompt(f"value of {name}", hide_input=True, err=True)
    else:
        value = sys.stdin.read().rstrip("\r\n")
    if not value:
        raise click.UsageError("an empty secret was given")
    provider.store({name: value})
    if frame.screen.as_json:
        frame.screen.result({"stored": name, "provider": ward.config.secrets.provider.value})
    else:
        frame.screen.say(f"stored {name} ({ward.config.secrets.provider.value})", style="green")
