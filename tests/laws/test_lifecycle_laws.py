"""The lifecycle table against a model of what a person would expect."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from toolward.model.pin import Pin
from toolward.model.tool import Manifest, ToolState, ToolVersion
from toolward.rules.lifecycle import TRANSITIONS, Act, Change, People, compare, next_state, transition
from toolward.rules.version import make_version


def version(text: str, *, timeout_ms: int = 1) -> ToolVersion:
    return make_version("s", {"name": "t", "d": text}, binding="b", manifest=Manifest(timeout_ms=timeout_ms))


def test_the_table_answers_every_state_and_every_change_of_a_known_tool() -> None:
    first = {Change.NEW, Change.FOUND, Change.RENAMED}
    answered = {(each.before, each.occasion) for each in TRANSITIONS if isinstance(each.occasion, Change)}
    known = set(itertools.product(ToolState, set(Change) - first))
    assert answered == known | {(None, each) for each in first}


def test_the_table_has_one_row_for_a_state_and_an_occasion() -> None:
    assert len({(each.before, each.occasion) for each in TRANSITIONS}) == len(TRANSITIONS)


def test_nothing_that_a_server_does_makes_people_stand_for_a_version() -> None:
    for row in TRANSITIONS:
        if isinstance(row.occasion, Change) and row.after is not None and row.after.stands:
            assert row.before is row.after


def test_nothing_but_people_leads_to_a_version_that_stands_or_out_of_quarantine_and_revocation() -> None:
    held = (ToolState.QUARANTINED, ToolState.REVOKED)
    for row in TRANSITIONS:
        moves = row.after is not row.before
        if moves and ((row.after is not None and row.after.stands) or row.before in held):
            assert row.people is not People.NOBODY, row


def test_every_state_can_be_reached_and_revoked() -> None:
    reached: set[ToolState | None] = {None}
    while more := {each.after for each in TRANSITIONS if each.before in reached} - reached - {None}:
        reached |= more
    assert reached == {None, *ToolState}
    for state in ToolState:
        row = transition(state, Act.REVOKE)
        assert row is not None
        assert row.after is ToolState.REVOKED


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
        state = next_state(self.pin.state, change)
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
