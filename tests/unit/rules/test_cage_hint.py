"""What a failed call in a cage is told: the key and the file, and nothing that is not known."""

from __future__ import annotations

import pytest

from toolward.model.egress import EgressCode, RefusedDestination
from toolward.rules.cage_hint import SAID_CHARS_MAX, Hint, hint_for

REFUSED = RefusedDestination("api.example:443", EgressCode.NOT_GRANTED)


def hint(said: str = "", *refused: RefusedDestination, per_call: bool = False) -> Hint | None:
    return hint_for("web", "get", per_call=per_call, said=said, refused=refused)


def text(found: Hint | None) -> str:
    assert found is not None
    return found.text


def test_a_refused_connection_is_named_with_the_key_and_the_file() -> None:
    found = hint("it did not work", REFUSED)
    assert found == Hint(
        "toolward: while this ran, its cage was refused `api.example:443`;"
        " `capabilities.network` in tools/web.yaml grants it, if that is meant",
        "capabilities.network in tools/web.yaml",
    )
    assert "under `tools.get`" in text(hint("", REFUSED, per_call=True))


def test_an_address_inside_needs_the_key_that_says_so() -> None:
    inside = RefusedDestination("db.corp:80", EgressCode.FORBIDDEN_ADDRESS)
    assert "`capabilities.unsafe_private_network` in" in text(hint("", inside))


def test_many_are_not_all_named_and_one_that_is_anothers_is_not_named_at_all() -> None:
    many = [RefusedDestination(f"h{n}.example:443", EgressCode.NOT_GRANTED) for n in range(9)]
    assert text(hint("", *many, *many)).count(".example") == 3
    assert "refused a connection;" in text(hint("", RefusedDestination("", EgressCode.NOT_GRANTED)))


@pytest.mark.parametrize("code", [EgressCode.OVER_BUDGET, EgressCode.UNREACHABLE, EgressCode.UNRECORDED])
def test_what_no_grant_mends_is_no_hint(code: EgressCode) -> None:
    assert hint("it did not work", RefusedDestination("api.example:443", code)) is None


@pytest.mark.parametrize(
    "said",
    [
        "Error: connect ECONNREFUSED 1.2.3.4:443",
        "getaddrinfo EAI_AGAIN api.example",
        "[Errno -3] Temporary failure in name resolution",
        "URLError: <urlopen error [Errno 13] Permission denied>",
        "Failed to fetch robots.txt due to a connection issue",
    ],
)
def test_an_error_like_a_refused_connection_names_the_network(said: str) -> None:
    assert "this may be a connection that nobody granted; if so, `capabilities.network`" in text(hint(said))


@pytest.mark.parametrize(
    "said",
    [
        "ENOENT: no such file or directory, open '/x'",
        "sqlite3.OperationalError: unable to open database file",
        "EROFS: read-only file system",
    ],
)
def test_an_error_like_a_refused_path_names_the_paths(said: str) -> None:
    assert "`capabilities.read` or `capabilities.write` in tools/web.yaml" in text(hint(said))
    assert "/x" not in text(hint(said))


def test_an_error_that_may_be_either_names_both() -> None:
    either = text(hint("PermissionError: [Errno 13] Permission denied"))
    assert "this may be a path or a connection" in either
    assert "`capabilities.write` or `capabilities.network`" in either


def test_any_other_error_has_no_hint() -> None:
    assert hint("the argument `path` is required") is None


def test_a_long_error_is_looked_at_from_both_ends() -> None:
    assert hint("x" * SAID_CHARS_MAX + "ENOENT") is not None
    assert hint("ENOENT" + "x" * SAID_CHARS_MAX) is not None
    assert hint("x" * SAID_CHARS_MAX + "ENOENT" + "x" * SAID_CHARS_MAX) is None


def test_an_error_that_is_only_a_path_names_the_paths_and_one_with_a_path_in_it_does_not() -> None:
    """So a server of git says that there is no repository."""
    assert "`capabilities.read` or `capabilities.write`" in text(
        hint("Error executing tool git_log: /srv/r\n")
    )
    assert text(hint("/srv/r"))
    assert hint("the branch /srv/r is not merged") is None
    assert hint("no user: alice") is None
