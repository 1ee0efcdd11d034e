"""The lifecycle table against a model of what a person would expect."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from toolward.model.tool import Manifest, ToolState, ToolVersion
from toolward.rules.lifecycle import NEXT_STATE, Change, Pin, compare
from toolward.rules.version import make_version


def version(text: str, *, timeout_ms: int = 1) -> ToolVersion:
    return make_version("s", {"name": "t", "d": text}, binding="b", manifest=Manifest(timeout_ms=timeout_ms))


def test_the_table_answers_every_state_and_every_change_of_a_known_tool() -> None:
    changes = [change for change in Change if change is not Change.NEW]
    assert set(NEXT_STATE) == set(itertools.product(ToolState, changes))


def test_no_change_that_a_server_makes_leads_to_approved() -> None:
    for (state, _), after in NEXT_STATE.items():
        assert after is not ToolState.APPROVED or state is ToolState.APPROVED


class OneTool(RuleBasedStateMachine):
    """A server that lists what it likes, a person who approves now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = version("first")
        self.pinned = self.listed
        self.pin = Pin(server="s", name="t", digest=self.listed.digest, state=ToolState.PROPOSED)
        self.approved: ToolVersion | None = None

    @rule(text=st.sampled_from(["first", "second", "third"]))
    def the_server_lists(self, text: str) -> None:
        self.listed = version(text)
        change = compare(self.pin, self.pinned, self.listed)
        state = NEXT_STATE[self.pin.state, change]
        if self.pin.state is ToolState.PROPOSED:
            self.pinned = self.listed
        self.pin = Pin(server="s", name="t", digest=self.pinned.digest, state=state)

    @rule()
    def a_person_approves_what_is_listed(self) -> None:
        self.pinned = self.approved = self.listed
        self.pin = Pin(server="s", name="t", digest=self.pinned.digest, state=ToolState.APPROVED)

    @invariant()
    def what_is_served_is_what_a_person_approved(self) -> None:
        if self.pin.state in (ToolState.APPROVED, ToolState.QUARANTINED):
            assert self.approved is not None
            assert self.pin.digest == self.approved.digest

    @invariant()
    def an_approved_tool_is_what_the_server_lists(self) -> None:
        if self.pin.state is ToolState.APPROVED:
            assert self.listed.digest == self.pin.digest


TestOneTool = OneTool.TestCase
