"""Budgets of found tools: what a call would use up, and whether there is enough left."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from toolward.errors import Reason, ReasonCode
from toolward.model.found import Budget, Spent
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import ArgumentKind, BindingKind
from toolward.rules.lineage.leaves import leaves_of


def destinations_of(permit: Permit, binding: ServerBinding) -> frozenset[str]:
    """Where a call sends something: the server itself and every host and address that it names.

    What runs contained here has no way out, whatever it is told.
    """
    version = permit.labelled.resolved.version
    if binding.kind is not BindingKind.HTTP or version is None:
        return frozenset()
    return frozenset({_host(binding.url), *_named(permit)})


def _named(permit: Permit) -> Iterator[str]:
    version = permit.labelled.resolved.version
    declared = version.manifest.arguments if version is not None else {}
    for pointer, value in leaves_of(permit.labelled.call.arguments):
        if not isinstance(value, str) or not value:
            continue
        argument = declared.get(pointer.split("/", 2)[1] if pointer else "")
        kind = argument.kind if argument is not None else ArgumentKind.VALUE
        if kind in (ArgumentKind.URL, ArgumentKind.ADDRESS) or "://" in value:
            yield _host(value)


def _host(text: str) -> str:
    """The host of a URL; another text as it is, so that no spelling is counted as none."""
    try:
        return (urlsplit(text).hostname or text)[:200].casefold()
    except ValueError:
        return text[:200].casefold()


def lacking(
    spent: Spent, budget: Budget, *, bytes_out: int, destinations: frozenset[str], of: str
) -> Reason | None:
    """None if one more call of that size stays within `budget`; `of` says whose it is, in words."""
    over = (
        ("calls", spent.calls + 1, budget.calls),
        ("bytes of arguments", spent.bytes_out + bytes_out, budget.bytes_out),
        ("destinations", len(spent.destinations | destinations), budget.destinations),
        # what runs is not foreseen: a call begins while there is time left, and has its own limit
        ("seconds of running", spent.time_ms // 1000 + 1, budget.time_s),
    )
    for what, wanted, limit in over:
        if wanted > limit:
            return Reason(
                code=ReasonCode.BUDGET_SPENT,
                text=f"found tools may use {limit} {what} in {of}, and this call would be beyond",
                remedy="use an approved tool, or ask the operator to promote this one",
                details=(("budget", what), ("limit", str(limit))),
            )
    return None
