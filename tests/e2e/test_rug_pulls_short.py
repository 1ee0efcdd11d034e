"""A handful of what `make rug-pulls` plays: real hostile processes, a real gateway, each with its control."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.lab.rugpull.cases import Case, Play, all_cases
from toolward.lab.rugpull.playing import play

HANDFUL = ("outputSchema", "name", "behaviour", "silent", "other-file", "squat-letters", "sleeper")


@pytest.mark.e2e
@pytest.mark.parametrize(
    "case", [each for each in all_cases() if each.id in HANDFUL], ids=lambda each: each.id
)
async def test_what_turns_after_it_was_trusted_does_not_reach_the_agent(case: Case, tmp_path: Path) -> None:
    played = await play(case, tmp_path)
    assert played.control, "without the gateway the attack works"
    assert played.wrong == "", played


def test_the_corpus_has_the_eight_changes_every_moment_and_the_proofs_of_others() -> None:
    cases = all_cases()
    assert len({each.id for each in cases}) == len(cases)
    eight = {
        "name",
        "title",
        "description",
        "annotations",
        "inputSchema",
        "outputSchema",
        "_meta",
        "behaviour",
    }
    assert eight <= {each.id for each in cases}
    assert {each.play for each in cases} == set(Play)
    assert sum("MCPSecBench" in each.source for each in cases) >= 6
