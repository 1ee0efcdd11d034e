"""A session's history is the same whether it was kept or is recalled from the log."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from toolward.model.label import Confidentiality, Integrity, Label
from toolward.rules.signals.history import History, recalled

AMOUNTS = st.one_of(st.none(), st.decimals(0, 10**6, places=2, allow_nan=False, allow_infinity=False))
CALLS = st.tuples(
    st.sampled_from(["files/read", "mail/send", "bank/pay", ""]),
    AMOUNTS,
    st.sets(st.sampled_from(["a", "b", "c", "d"]), max_size=3),
)
LABELS = st.builds(Label, st.sampled_from(Integrity), st.sampled_from(Confidentiality))


@given(st.lists(st.one_of(CALLS, LABELS), max_size=40))
def test_what_is_recalled_is_what_was_kept(events: list[object]) -> None:
    kept, calls, answers = History(), [], []
    for at_ns, event in enumerate(events, 1):
        if isinstance(event, Label):
            kept.saw(event, at_ns)
            answers.append({"at_ns": at_ns, "source": {"from": "x", **event.as_json()}})
            continue
        assert isinstance(event, tuple)
        tool, amount, places = event
        kept.let_through(tool, amount=amount, places=places, now_ns=at_ns)
        said = {"at_ns": at_ns, "tool": tool, "version": "sha256:v" if tool else "", "to": sorted(places)}
        if amount != 0:
            said["amount"] = f"{amount:f}" if amount is not None else ""
        calls.append(said)
    kept.in_flight = 0
    assert recalled(calls, answers) == kept


@given(st.lists(CALLS, max_size=20), CALLS)
def test_a_call_more_never_makes_less_of_it(
    before: list[object], one_more: tuple[str, Decimal | None, set[str]]
) -> None:
    history = History()
    for at_ns, call in enumerate(before, 1):
        assert isinstance(call, tuple)
        history.let_through(call[0], amount=call[1], places=call[2], now_ns=at_ns)
    amount, places, calls = history.amount, len(history.places), sum(history.tools.values())
    history.let_through(one_more[0], amount=one_more[1], places=one_more[2], now_ns=100)
    assert history.amount is None or (amount is not None and history.amount >= amount)
    assert len(history.places) >= places
    assert sum(history.tools.values()) >= calls
