"""Paths and destinations as an attacker writes them: judged by every reading that a tool may give them."""

from __future__ import annotations

import posixpath
from urllib.parse import urlsplit

import pytest

from toolward.rules.places import destination_known, path_inside

KNOWN = ("example.org", "*.corp.example", "olga@own.example", "strasse.example", "[::1]", "10.0.0.7")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/?to=a@example.org",
        "https://evil.example/a@example.org",
        "mallory@evil.example,bob@example.org",
        "mallory@evil.example; bob@example.org",
        "mallory@evil.example bob@example.org",
        "Bob <mallory@evil.example>@example.org",
        "mallory%evil.example@example.org",
        "https://evil.example\\@example.org/",
        "https://evil.example\\.corp.example/",
        "https:evil.example/.corp.example",
        "https:/evil.example?.corp.example",
        "evil.example/#.corp.example",
        "evil.example/x.corp.example",
        "https://evil.example%2f.corp.example/",
        "https://straße.example/",
        "https://example.org:" + "a" * 5_000 + "@evil.example/",
        "https://example.org@evil.example/",
        "https://user@example.org/",
        "https://exa\tmple.org/",
        "https://example.org\n.evil.example/",
        "file://example.org/etc/passwd",
        "https://example.org.evil.example/",
        "https://[::2]/",
        "https://example.org:evil/",
        "\u2025.corp.example",
        "https://evil.example/?x=olga@own.example",
    ],
)
def test_a_destination_that_some_reader_takes_for_another_is_not_known(target: str) -> None:
    assert not destination_known(target, KNOWN)


@pytest.mark.parametrize(
    "target",
    [
        "https://example.org",
        "https://EXAMPLE.org:8443/a?b=c@d#e",
        "http://a.b.corp.example/x",
        "wss://example.org/socket",
        "example.org",
        "example.org:25",
        "bob@example.org",
        "Olga@own.example",
        " olga@own.example ",
        "https://[::1]:8080/x",
        "http://10.0.0.7/",
    ],
)
def test_a_plain_destination_of_the_operator_is_known(target: str) -> None:
    assert destination_known(target, KNOWN)


def test_control_the_parser_alone_would_take_the_attackers_url_for_the_operators() -> None:
    """Why the text is looked at before it is parsed: browsers and Node read a backslash as a slash."""
    assert urlsplit("https://evil.example\\@example.org/").hostname == "example.org"


@pytest.mark.parametrize(
    "path",
    [
        "/data/a/b%2fc%2fd/../../../../etc/passwd",
        "/x%2f..%2fdata/a",
        "/data/%252e%252e/%2e%2e/etc",
        "/data/a%2f..%2f..%2fetc",
        "/data/%00",
        "/data/a\x00",
        "/data/a\nb/../../../etc",
        "file:///data/..%2fetc",
        "data/a",
        "~/data",
        "C:\\data",
        "/data/a\\..\\..\\..\\etc",
        "/database",
        "",
    ],
)
def test_a_path_is_inside_only_if_it_is_so_with_and_without_its_escapes(path: str) -> None:
    assert not path_inside(path, ("/data",))


def test_control_a_tool_that_does_not_decode_would_leave_the_root() -> None:
    path = "/data/a/b%2fc%2fd/../../../../etc/passwd"
    assert (
        posixpath.normpath(path) == "/etc/passwd"
    )  # what os.path.abspath and Node's path.resolve make of it
    assert posixpath.normpath(path.replace("%2f", "/")) == "/data/etc/passwd"


@pytest.mark.parametrize(
    "path", ["/data", "/data/a b", "//data//x", "/data/x/../y", "file:///data/a", "/data/50%25", "/data/100%"]
)
def test_a_plain_path_below_the_root_is_inside(path: str) -> None:
    assert path_inside(path, ("/data",))


def test_the_root_of_everything_holds_every_absolute_path() -> None:
    assert path_inside("/etc/passwd", ("/",))
