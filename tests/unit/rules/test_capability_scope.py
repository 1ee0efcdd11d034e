"""What a call is granted: exactly what the declaration and its own arguments say, or a coded refusal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from toolward.errors import BadArguments, Denied, ReasonCode, ToolwardError
from toolward.model.capability import (
    Capabilities,
    IsolationLevel,
    Kept,
    PathAccess,
    PathCapability,
)
from toolward.model.egress import Grant
from toolward.rules.capability import check_capabilities, scope_of

READ, WRITE = PathAccess.READ, PathAccess.WRITE


def declare(*paths: tuple[PathAccess, str, str]) -> Capabilities:
    return Capabilities(paths=tuple(PathCapability(access=a, template=t, root=r) for a, t, r in paths))


def grants(capabilities: Capabilities, **arguments: Any) -> list[tuple[str, str]]:
    return [(grant.path, grant.access.value) for grant in scope_of(capabilities, arguments).paths]


def refusal(capabilities: Capabilities, **arguments: Any) -> ToolwardError:
    with pytest.raises((Denied, BadArguments)) as refused:
        scope_of(capabilities, arguments, kept=Kept(hidden=("/home/me/ward/.toolward", "/home/me/state")))
    return refused.value


def test_a_call_that_writes_one_file_gets_its_directory_and_nothing_else() -> None:
    declared = declare((WRITE, "{dir:path}", "/srv/data"))
    assert grants(declared, path="/srv/data/reports/may.txt") == [("/srv/data/reports", "write")]
    assert grants(declared, path="/srv/data//may.txt") == [("/srv/data", "write")]


def test_an_argument_grants_its_path_and_a_list_each_of_them() -> None:
    declared = declare((READ, "{arg:path}", "/srv"))
    assert grants(declared, path="/srv/a") == [("/srv/a", "read")]
    assert grants(declared, path=["/srv/b", "/srv/a"]) == [("/srv/a", "read"), ("/srv/b", "read")]


def test_a_literal_needs_no_argument_and_the_wider_access_counts() -> None:
    declared = declare((WRITE, "/srv/out", ""), (READ, "/srv/out", ""), (READ, "/srv/in/", ""))
    assert grants(declared) == [("/srv/in", "read"), ("/srv/out", "write")]


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "",
        "/srv/data/../etc/passwd",
        "/srv/data/./x",
        "/srv/database/x",
        "/etc/passwd",
        "/srv/data/a\x00b",
        "/srv/data/a\nb",
        "/srv/data/\ud800",
        "/srv/data/" + "x" * 5_000,
        "~/x",
        "file:///srv/data/x",
        None,
        7,
        [],
        ["/srv/data/x", 7],
        {"path": "/srv/data/x"},
    ],
)
def test_an_argument_that_is_no_path_inside_the_root_is_the_callers_fault(path: object) -> None:
    for template in ("{arg:path}", "{dir:path}"):
        error = refusal(declare((READ, template, "/srv/data")), path=path)
        assert isinstance(error, BadArguments)
        assert error.reason.code is ReasonCode.PATH_REFUSED
        assert error.reason.remedy


def test_the_root_itself_is_not_left_by_the_directory_of_the_root() -> None:
    assert isinstance(refusal(declare((WRITE, "{dir:path}", "/srv/data")), path="/srv/data"), BadArguments)


def test_a_missing_argument_is_named() -> None:
    assert "`target`" in refusal(declare((READ, "{arg:target}", "/srv"))).reason.text


@pytest.mark.parametrize(
    ("access", "template", "root"),
    [
        (READ, "/", ""),
        (READ, "{arg:path}", "/"),
        (READ, "/proc/self", ""),
        (READ, "/sys", ""),
        (READ, "/dev", ""),
        (READ, "/run/docker.sock", ""),
        (READ, "/home/me/ward/.toolward/keys", ""),
        (READ, "/other/ward/.toolward", ""),
        (READ, "/home/me/state/x", ""),
        (WRITE, "/etc", ""),
        (WRITE, "/usr/local/bin", ""),
        (WRITE, "/var", ""),
        (READ, "relative", ""),
        (READ, "/srv/../etc", ""),
        (READ, "/srv/{arg:path}", ""),
        (READ, "{env:HOME}", "/srv"),
        (READ, "{arg:path}", ""),
        (READ, "{arg:path}", "srv"),
        (READ, "/etc/passwd", "/srv"),
    ],
)
def test_what_no_tool_may_have_is_refused_as_the_operators_fault(
    access: PathAccess, template: str, root: str
) -> None:
    error = refusal(declare((access, template, root)), path="/")
    if template.startswith("{arg") and root == "/":
        assert error.reason.code in {ReasonCode.GRANT_REFUSED, ReasonCode.PATH_REFUSED}
    else:
        assert error.reason.code is ReasonCode.GRANT_REFUSED


def test_a_declaration_is_checked_before_there_is_a_call() -> None:
    check_capabilities(declare((WRITE, "{dir:path}", "/srv/data"), (READ, "/usr/share", "")))
    for bad in (declare((READ, "{arg:path}", "/")), declare((READ, "/proc", "")), declare((READ, "x", ""))):
        with pytest.raises(Denied):
            check_capabilities(bad)


def test_destinations_may_cover_subdomains() -> None:
    network = (Grant(host="*.example.org", port=443), Grant(host="api.example.org", port=8443))
    assert scope_of(Capabilities(network=network), {}).network == network


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "ld_library_path", "PYTHONPATH", "BASH_ENV", "A B", "", "1A", "A=B"]
)
def test_an_environment_does_not_change_which_code_runs(name: str) -> None:
    with pytest.raises(Denied):
        scope_of(Capabilities(environment=((name, "x"),)), {})


def test_equal_calls_have_equal_scopes() -> None:
    declared = declare((READ, "{arg:path}", "/srv"))
    assert hash(scope_of(declared, {"path": "/srv/a"})) == hash(scope_of(declared, {"path": "/srv//a"}))


def test_levels_are_ordered_and_remote_is_outside_the_order() -> None:
    order = ["none", "landlock", "namespaces", "wasm", "own_kernel"]
    for weaker, stronger in pairwise(order):
        assert IsolationLevel(stronger).reaches(IsolationLevel(weaker))
        assert not IsolationLevel(weaker).reaches(IsolationLevel(stronger))
    assert not IsolationLevel.REMOTE.reaches(IsolationLevel.LANDLOCK)
    assert not IsolationLevel.OWN_KERNEL.reaches(IsolationLevel.REMOTE)
    assert IsolationLevel.REMOTE.reaches(IsolationLevel.NONE)


def test_the_gateways_own_state_is_hidden_in_a_grant_that_holds_it() -> None:
    kept = Kept(hidden=("/home/me/ward/.toolward",), wards=("/home/me/ward",))
    read = scope_of(declare((READ, "/home", "")), {}, kept=kept)
    assert [(grant.path, grant.access.value) for grant in read.paths] == [
        ("/home", "read"),
        ("/home/me/ward/.toolward", "hide"),
    ]
    written = scope_of(declare((WRITE, "/home/me", "")), {}, kept=kept)
    assert [(grant.path, grant.access.value) for grant in written.paths] == [
        ("/home/me", "write"),
        ("/home/me/ward", "hide"),
        ("/home/me/ward/.toolward", "hide"),
    ]
    with pytest.raises(Denied, match="deeper inside"):
        scope_of(declare((WRITE, "/home", "")), {}, kept=kept)


def test_every_ward_is_treated_alike_whosever_tool_it_is() -> None:
    kept = Kept(
        hidden=("/home/me/ward/.toolward", "/home/me/projects/other/.toolward"),
        wards=("/home/me/ward", "/home/me/projects/other"),
    )
    read = scope_of(declare((READ, "/home/me/projects", "")), {}, kept=kept)
    assert [(grant.path, grant.access.value) for grant in read.paths] == [
        ("/home/me/projects", "read"),
        ("/home/me/projects/other/.toolward", "hide"),
    ]
    written = scope_of(declare((WRITE, "/home/me/projects", "")), {}, kept=kept)
    assert ("/home/me/projects/other", "hide") in {
        (grant.path, grant.access.value) for grant in written.paths
    }
    for inside in ("/home/me/projects/other", "/home/me/projects/other/tools"):
        with pytest.raises(Denied, match="whose files decide"):
            scope_of(declare((WRITE, inside, "")), {}, kept=kept)


def test_more_places_to_hide_than_a_cage_takes_is_the_operators_business() -> None:
    kept = Kept(hidden=tuple(f"/home/w{n}/.toolward" for n in range(64)))
    with pytest.raises(Denied, match="64 places to hide"):
        scope_of(declare((READ, "/home", "")), {}, kept=kept)
    assert len(scope_of(declare((READ, "/home", "")), {}, kept=Kept(hidden=kept.hidden[:63])).paths) == 64
