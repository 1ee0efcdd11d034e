"""Which path a call takes: one table, in which every reason leads to the secure path and none away from it."""

from __future__ import annotations

from itertools import product

import pytest

from policy_samples import labelled, tool
from toolward.errors import ReasonCode, WardError
from toolward.kernel.stages.decide import off_its_path
from toolward.model.tool import Effect, Path, ToolState
from toolward.rules.path import choose_path
from toolward.rules.policy.policy_text import read_policies

DISCOVERED = ToolState.DISCOVERED
CRITICAL = "the step `s` of `o` is decision-critical"


@pytest.mark.parametrize(
    ("critical", "confidential", "state", "effect", "path", "why"),
    [
        ("", False, ToolState.APPROVED, Effect.READ_ONLY, Path.OPEN, "an approved tool that only reads"),
        (
            "",
            False,
            ToolState.APPROVED,
            Effect.REVERSIBLE,
            Path.SECURE,
            "an approved tool that does more than read",
        ),
        ("", True, ToolState.APPROVED, Effect.READ_ONLY, Path.SECURE, "an argument is confidential"),
        (CRITICAL, False, ToolState.APPROVED, Effect.READ_ONLY, Path.SECURE, CRITICAL),
        (
            "",
            False,
            DISCOVERED,
            Effect.IRREVERSIBLE,
            Path.OPEN,
            "a tool that was found and nobody approved yet",
        ),
        ("", True, DISCOVERED, Effect.READ_ONLY, Path.SECURE, "an argument is confidential"),
        (CRITICAL, False, DISCOVERED, Effect.READ_ONLY, Path.SECURE, CRITICAL),
        ("", False, None, None, Path.OPEN, "no tool is called"),
        (CRITICAL, False, None, None, Path.SECURE, CRITICAL),
    ],
)
def test_the_path_and_its_reason(
    critical: str, confidential: bool, state: ToolState | None, effect: Effect | None, path: Path, why: str
) -> None:
    choice = choose_path(critical=critical, confidential=confidential, state=state, effect=effect)
    assert (choice.path, choice.why) == (path, why)


def test_one_more_reason_never_leads_to_the_open_path() -> None:
    for confidential, state, effect in product((False, True), (ToolState.APPROVED, DISCOVERED), Effect):
        plain = choose_path(critical="", confidential=confidential, state=state, effect=effect)
        moved = choose_path(critical="because", confidential=confidential, state=state, effect=effect)
        assert moved.path is Path.SECURE
        if plain.path is Path.SECURE:
            assert choose_path(critical="", confidential=True, state=state, effect=effect).path is Path.SECURE


def test_a_found_tool_is_refused_on_the_secure_path_whatever_policies_say() -> None:
    found = labelled(tool("read"), approved=False, path=Path.SECURE, path_why=CRITICAL)
    reason = off_its_path(found)
    assert reason is not None
    assert reason.code is ReasonCode.SECURE_PATH
    assert CRITICAL in reason.text
    assert "promoted" in reason.remedy
    assert off_its_path(labelled(tool("read"), approved=False, path=Path.OPEN)) is None
    assert off_its_path(labelled(tool("read"), path=Path.SECURE)) is None


@pytest.mark.parametrize(
    ("annotation", "effect", "said"),
    [
        ('@path("open")', "permit", "to the path `secure` only"),
        ("@path", "permit", "to the path `secure` only"),
        ('@path("secure")', "forbid", "stands on a forbid"),
    ],
)
def test_an_annotation_moves_to_the_secure_path_and_nowhere_else(
    annotation: str, effect: str, said: str
) -> None:
    [read] = read_policies("p.cedar", f"{annotation} {effect} (principal, action, resource);")
    assert isinstance(read, WardError)
    assert said in read.reason.text
