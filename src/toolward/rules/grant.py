"""Whether a standing grant covers a call. What it does not name it does not cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolward.model.approval import Grant, Pattern
from toolward.model.call import LabelledCall
from toolward.model.tool import Argument, ArgumentRole
from toolward.rules.canonical import canonical
from toolward.rules.places import destination_known, path_inside

_UNDESCRIBED = Argument()


def covers(grant: Grant, labelled: LabelledCall) -> bool:
    """Whether caller, tool and arguments are those that the grant names; time and count are not looked at.

    Every value that decides who, where, which or how much must match a pattern, also one that the agent
    adds; content is free unless a pattern names it.
    """
    version, principal = labelled.resolved.version, labelled.call.session.principal
    if version is None or (version.key, version.digest) != (grant.tool, grant.version):
        return False
    if grant.session_id and grant.session_id != labelled.call.session.session_id:
        return False
    if (grant.user, grant.agent) != (principal.user, principal.agent) or labelled.call.retry:
        return False
    values = dict(_values(labelled.call.arguments, ""))
    declared = version.manifest.arguments
    return all(pointer in values for pointer, each in grant.arguments.items() if not each.anything) and all(
        matches(grant.arguments[pointer], value)
        if pointer in grant.arguments
        else role_at(pointer, declared) is ArgumentRole.CONTENT
        for pointer, value in values.items()
    )


def matches(pattern: Pattern, value: Any) -> bool:
    """Whether one value is what the pattern says."""
    if pattern.anything:
        return True
    if not pattern.under:
        return canonical(value) == canonical(pattern.equals)
    if not isinstance(value, str):
        return False
    if pattern.under.startswith("/"):
        return path_inside(value, (pattern.under,))
    return destination_known(value, (pattern.under,))


def patterns_of(
    labelled_arguments: Mapping[str, Any], declared: Mapping[str, Argument]
) -> dict[str, Pattern]:
    """The narrowest patterns for calls like this one: each deciding value exactly, content free."""
    return {
        pointer: Pattern(equals=value)
        for pointer, value in _values(labelled_arguments, "")
        if role_at(pointer, declared) is not ArgumentRole.CONTENT
    }


def breadth(grant: Grant) -> tuple[bool, int, int, int]:
    """By which of two grants that cover a call the narrower comes first: session, patterns, time."""
    open_ended = sum(each.anything for each in grant.arguments.values())
    under = sum(bool(each.under) for each in grant.arguments.values())
    return (not grant.session_id, open_ended, under, grant.expires_ms)


def role_at(pointer: str, declared: Mapping[str, Argument]) -> ArgumentRole:
    """The role of a value by its top-level name; what nobody described decides."""
    name = pointer.split("/", 2)[1].replace("~1", "/").replace("~0", "~") if pointer else ""
    return declared.get(name, _UNDESCRIBED).role


def _values(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """Every scalar, and every empty object or list, which a tool may read as "all", with its pointer.

    A number in a pointer is a place in a list, so an object with such names is one value.
    """
    if isinstance(value, Mapping) and (not pointer or (value and not any(map(_is_place, value)))):
        for key, item in value.items():
            yield from _values(item, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _values(item, f"{pointer}/{index}")
    else:
        yield pointer, value


def _is_place(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isdigit()
