"""`approvals.webhooks` in `toolward.yaml`: what is read, and what every finding says."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.config.approving import WebhookFormat, WebhookMoment
from toolward.config.ward import check_ward, load_ward

HEAD = "version: 1\nname: demo\napprovals:\n"


def write(at: Path, text: str) -> Path:
    (at / "toolward.yaml").write_text(HEAD + text)
    return at


def hook(**members: str) -> str:
    lines = {"url": "https://hooks.example/in", "secret": "${secret:TEAM}", **members}
    return "  webhooks:\n    team:\n" + "".join(f"      {name}: {text}\n" for name, text in lines.items())


def test_a_webhook_tells_everything_but_the_arguments_unless_the_ward_says_so(tmp_path: Path) -> None:
    found = load_ward(write(tmp_path, hook(people="{U1: alice}"))).config.approvals.webhooks["team"]
    assert (found.format, found.arguments, found.private_network) == (WebhookFormat.JSON, False, False)
    assert found.events == tuple(WebhookMoment)
    assert found.people == {"U1": "alice"}


def test_a_url_that_is_a_secret_itself_is_taken(tmp_path: Path) -> None:
    assert check_ward(write(tmp_path, hook(url="'${secret:SLACK_URL}'"))) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (hook(secret="plain-text-secret-in-a-file"), "approvals.webhooks.team.secret"),
        (hook(url="hooks.example/in"), "the url has no host"),
        (hook(url="ftp://hooks.example/in"), "the url has no host"),
        (hook(url="https://user:pass@hooks.example/in"), "the url has no host"),
        (hook(url="http://hooks.example/in"), "an unencrypted url beyond this machine"),
        (hook(format="teams"), "format"),
        (hook(events="[born]"), "events"),
        (hook(colour="red"), "unknown key `colour`"),
        ("  url: gateway\n", "the url has no host"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, finding: str) -> None:
    [error] = check_ward(write(tmp_path, text))
    assert finding in error.diagnostics()
    assert error.line > 3


def test_an_unencrypted_url_on_this_machine_is_taken(tmp_path: Path) -> None:
    assert check_ward(write(tmp_path, hook(url="http://127.0.0.1:9000/in"))) == []
