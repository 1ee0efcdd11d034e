"""What a ward's files say of resilience, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import MANIFESTS, WARD, write_ward

from toolward.config.ward import check_ward, load_ward

OWN = "resilience: {in_flight: 8, failures: 3}\n" + MANIFESTS["files"].replace(
    "  read: {", "  read: {resilience: {in_flight: 2, fallback: mail/fetch}, "
)


def test_a_tool_says_more_than_its_server_and_that_more_than_the_ward(tmp_path: Path) -> None:
    files = {"toolward.yaml": WARD + "resilience: {retries: 0, open_s: 7}\n", "tools/files.yaml": OWN}
    settings = load_ward(write_ward(tmp_path, files)).resilience
    server, read, write = (settings.of(key) for key in ("files", "files/read", "files/write"))
    assert (server.in_flight, server.failures, server.retries, server.open_s) == (8, 3, 0, 7)
    assert (read.in_flight, read.failures, read.retries) == (2, 3, 0)
    assert (write.in_flight, write.failures) == (64, 3)  # its server's places bound it as they are
    assert (settings.of("mail").in_flight, settings.of("mail/send").in_flight) == (96, 64)
    assert settings.fallbacks == {"files/read": "mail/fetch"}


def test_a_ward_that_says_nothing_has_safe_limits(tmp_path: Path) -> None:
    settings = load_ward(write_ward(tmp_path)).resilience
    assert (settings.own, settings.fallbacks, settings.lag_max_ms) == ({}, {}, 500)
    assert (settings.server.failures, settings.server.open_s, settings.server.retry_percent) == (5, 30, 20)


@pytest.mark.parametrize(
    ("said", "text", "remedy"),
    [
        ("{fallback: mial/fetch}", "no server `mial`", "did you mean `mail`?"),
        ("{fallback: files/read}", "`files/read` stands in for itself", "name another tool"),
        ("{fallback: fetch}", "`fetch` does not name a tool", "write `server/tool`"),
        ("{failures: 0}", ">= 1", ""),
        ("{failure: 3}", "unknown key `failure`", "did you mean `failures`?"),
    ],
)
def test_what_can_not_be_meant_is_found_with_its_line(
    tmp_path: Path, said: str, text: str, remedy: str
) -> None:
    manifest = MANIFESTS["files"].replace("  read: {", f"  read: {{resilience: {said}, ")
    (found,) = check_ward(write_ward(tmp_path, {"tools/files.yaml": manifest}))
    assert text in found.reason.text
    assert remedy in found.reason.remedy
    assert (found.file, found.line) == ("tools/files.yaml", 3)
