"""The integrity rule: who asks for a call, and who stands behind each value that decides in it.

Positive provenance: a value is proven by a witness, never by the absence of taint. The witnesses, in the
order in which they are asked: the session's own words; a person's endorsement; a field that the server
vouches for, of the very object that the words point at; the operator; a source that the words hand over to.
A call of which no words are known is judged without the words' part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from toolward.model.call import ResolvedCall
from toolward.model.label import TRUSTED, UNTRUSTED
from toolward.model.lineage import SourceKind
from toolward.model.session import Session
from toolward.model.tool import ArgumentKind, Effect, Manifest
from toolward.model.verdict import Verdict, Witness
from toolward.rules.integrity import mechanisms as parts
from toolward.rules.integrity.arguments import (
    CHOICE,
    CODE,
    CONTENT,
    HOW_MUCH,
    NEW_NAME,
    WHEN,
    WHICH,
    Decides,
    Tool,
    Traced,
    read_tool,
    spot_of,
)
from toolward.rules.integrity.asking import Asking
from toolward.rules.integrity.atoms import addresses_in
from toolward.rules.integrity.clauses import is_cut
from toolward.rules.integrity.delegation import Lending, offers
from toolward.rules.integrity.grounds import Grounds, grounds_of
from toolward.rules.integrity.mechanisms import EVERYTHING, Mechanism
from toolward.rules.integrity.provenance import nobody
from toolward.rules.integrity.quantities import within_bounds
from toolward.rules.integrity.things import Things
from toolward.rules.integrity.verifier import belongs_to, wants_code
from toolward.rules.integrity.wording import Wording
from toolward.rules.integrity.words import parts_of_name
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.records import Item, Member, same
from toolward.rules.lineage.spelling import canonical_text

SMALL_DIGITS: Final = 2
"""A number of so few digits stands in most prompts for something else."""


class Judgement(Struct, frozen=True, kw_only=True):
    """Of one call."""

    words_known: bool
    asked_for: bool
    proven: bool
    assumed: bool
    new_address: bool
    verdicts: tuple[Verdict, ...]
    why_unproven: str = ""
    lent_by: tuple[str, ...] = ()


CONTENT_ALONE: Final = Judgement(
    words_known=False, asked_for=False, proven=True, assumed=True, new_address=False, verdicts=()
)
"""Of a call in which nothing decides, and nobody could have had it written: its facts as they begin."""


def judge(
    resolved: ResolvedCall,
    session: Session,
    memory: SessionMemory,
    traced: list[Traced],
    *,
    roots: tuple[str, ...] = (),
    mechanisms: Mechanism = EVERYTHING,
) -> Judgement:
    """Pure; `traced` are the leaves as `rules/lineage` traced them, `roots` what the operator declared."""
    version = resolved.version
    tool = read_tool(version.definition) if version is not None else Tool(resolved.name, "", {})
    manifest = version.manifest if version is not None else Manifest()
    grounds = grounds_of(session, resolved.step, planned=manifest.effect is not _IRREVERSIBLE)
    described = manifest.arguments
    decided = [tool.decides(spot, value, described.get(spot.name)) for _, value, spot in traced]
    tainted = session.taint.integrity is UNTRUSTED
    if not grounds.known and not tainted and decided.count(CONTENT) == len(decided):
        return CONTENT_ALONE  # nothing decides, and nobody could have had it written
    memory.records.read()
    bench = _Bench(
        resolved=resolved,
        memory=memory,
        tool=tool,
        manifest=manifest,
        grounds=grounds,
        tainted=tainted,
        roots=roots,
        bits=mechanisms.value,
    )
    if grounds.delegates_all and bench.bits & parts.DELEGATION:
        text, bench.handed_by = bench.lending().handed()
        bench.hand_over(text)
    verdicts = [bench.verdict(each, what) for each, what in zip(traced, decided, strict=True)]
    values = [(leaf.pointer, value) for leaf, value, _ in traced]
    return bench.judgement(bench.second_look(verdicts, values), values)


@dataclass(slots=True, kw_only=True)
class _Bench:
    resolved: ResolvedCall
    memory: SessionMemory
    tool: Tool
    manifest: Manifest
    grounds: Grounds
    tainted: bool
    roots: tuple[str, ...]
    bits: int  # the mechanisms
    handed_by: tuple[str, ...] = ()
    lent_by: tuple[str, ...] = ()
    _things: Things | None = None
    _lending: Lending | None = None

    def things(self) -> Things:
        """What the words point at; most calls need not know."""
        if self._things is None:
            self._things = Things(self.grounds, self.memory.records)
        return self._things

    def hand_over(self, text: str) -> None:
        """What a source names is meant too: what was looked for before is looked for again."""
        self.things().hand_over(text)
        self._lending = None

    def lending(self) -> Lending:
        """What the words hand over to."""
        if self._lending is None:
            self._lending = Lending(
                grounds=self.grounds,
                things=self.things(),
                records=self.memory.records,
                target=self.resolved.call.target,
                name=self.tool.name,
                effect=self.manifest.effect,
                once=bool(self.bits & parts.ONCE),
            )
        return self._lending

    # --- one value --------------------------------------------------------------------------------

    def verdict(self, traced: Traced, decides: Decides) -> Verdict:
        """What is found of one leaf by itself; quantities and codes are looked at again beside the others."""
        leaf, value, spot = traced
        pointer = leaf.pointer
        if decides is CONTENT:
            return Verdict(pointer, TRUSTED, _MADE, "it is content", "", CONTENT)
        text = "" if value is None or isinstance(value, bool) else str(value)
        told = own = False
        for source in leaf.sources:
            told = told or source.kind in _SPOKEN
            own = own or source.kind is _OPERATOR
        if self._told(text, decides, spot.name, told=told):
            return Verdict(pointer, TRUSTED, _WORDS, "it stands in the session's own words", "", decides)
        records = self.memory.records
        seen = records.places.get(same(text), ()) if text and records.places else ()
        known = self._witness(text, seen, decides)
        if known is not None:
            return Verdict(pointer, TRUSTED, known[0], known[1], known[2], decides)
        if own:
            return Verdict(pointer, TRUSTED, Witness.OPERATOR, "the operator declared it", "", decides)
        if decides in _FREE and (self.bits & parts.CHOICES or not text):
            return Verdict(pointer, TRUSTED, Witness.CHOICE, f"it decides only {_SAID[decides]}", "", decides)
        if not text or value == self.tool.default_of(spot.name):
            why = "it is what the tool takes unasked"
            return Verdict(pointer, TRUSTED, Witness.CHOICE, why, "", decides)
        return nobody(leaf, seen, decides)

    def _told(self, text: str, decides: Decides, name: str, *, told: bool) -> bool:
        """Whether the words hold it as a whole; a bare small number must be said of such a thing."""
        grounds = self.grounds
        which = decides is WHICH
        if not told:
            if not (text and grounds.known):
                return False
            if which and text.isdigit() and len(text) <= SMALL_DIGITS:
                told = grounds.says_short(text, self._kinds(name))
            else:
                told = grounds.says(text)
        if told and which and self.bits & parts.CLAUSES:
            return not is_cut(text, grounds.clauses, self._kinds(name))
        return told

    def _kinds(self, name: str) -> frozenset[str]:
        """Words for what such a value is of."""
        return self.tool.parts | frozenset(parts_of_name(name))

    def _witness(
        self, text: str, seen: Sequence[tuple[Item, Member]], decides: Decides
    ) -> tuple[Witness, str, str] | None:
        """Who stands behind a value that the words do not hold: who, why, and the call it is from."""
        if text and self.memory.endorsed:
            endorsed = self.memory.endorsed.get(canonical_text(text))
            if endorsed is not None:
                return Witness.ENDORSED, "a person stands for the source", endorsed
        return self._field(seen, decides) if seen and self.bits & parts.FIELDS else None

    def _field(
        self, seen: Sequence[tuple[Item, Member]], decides: Decides
    ) -> tuple[Witness, str, str] | None:
        """A vouched field of the object that the words point at; of any object where no words are known.

        Of any, too, where the words leave a choice that takes counting over results ("the channel with the
        most users"), as long as nothing untrusted was read that could have talked the agent into another one.
        """
        counted = decides is WHICH and self.grounds.counted and not self.tainted
        for item, member in seen:
            if not member.vouched:
                continue
            record = item.record
            where = f"`{member.name or 'result'}` of what `{record.tool}` returned"
            if not self.grounds.known or not self.bits & parts.OBJECTS:
                return Witness.FIELD, f"the server vouches for {where}", record.call_id
            if why := self.things().pointed_at(item):
                return Witness.FIELD, f"the server vouches for {where}, and {why}", record.call_id
            if counted and not self.things().names_one(record):
                return (
                    Witness.FIELD,
                    f"the server vouches for {where}, and the words leave a count",
                    record.call_id,
                )
        return None

    # --- all values together ----------------------------------------------------------------------

    def second_look(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> list[Verdict]:
        """What only the whole call tells: a source that was handed over to, a bound, a code's verifier."""
        again = [at for at, each in enumerate(verdicts) if each.integrity is not TRUSTED]
        if again and self.bits & parts.DELEGATION and offers(self.grounds, self.manifest.effect):
            for at in again:
                verdicts[at] = self._lent(verdicts[at], str(values[at][1]))
        for at in again:
            verdict, value = verdicts[at], values[at][1]
            if verdict.integrity is TRUSTED:
                continue
            if verdict.decides == HOW_MUCH and self.bits & parts.BOUNDS:
                why = within_bounds(value, self.grounds, self.things(), verdicts, self.lending())
                witness = Witness.BOUND
            elif verdict.decides == CODE and self.bits & parts.CODES:
                why = belongs_to(str(value), self.resolved, self.memory.records, values)
                witness = Witness.VERIFIER
            else:
                continue
            if why:
                verdicts[at] = Verdict(verdict.pointer, TRUSTED, witness, why, "", verdict.decides)
        return verdicts

    def _lent(self, verdict: Verdict, text: str) -> Verdict:
        """What a source that was handed over to makes of it."""
        decides, address = Decides(verdict.decides), self._is_address(verdict.pointer)
        record = self.lending().lends(text, decides, address=address)
        if record is None:
            return verdict
        self.lent_by = (*self.lent_by, record.call_id)
        why = f"the session's own words hand over to what `{record.tool}` returned"
        return Verdict(verdict.pointer, TRUSTED, Witness.SOURCE, why, record.call_id, decides)

    def _is_address(self, pointer: str) -> bool:
        argument = self.manifest.arguments.get(spot_of(pointer).top)
        return argument is not None and argument.kind in (ArgumentKind.ADDRESS, ArgumentKind.URL)

    def judgement(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> Judgement:
        """The call as a whole."""
        deciding = [each for each in verdicts if each.decides != CONTENT]
        worst, first = TRUSTED, None
        for each in deciding:
            if each.integrity is not TRUSTED:
                first = first or each
                worst = max(worst, each.integrity)
        new = self._new_address(verdicts, values) if self.tainted and self.bits & parts.ADDRESSES else ""
        known = self.grounds.known
        asked = known and (not self.bits & parts.INTENT or self._asked(deciding, values))
        if first is not None:
            unproven = f"`{first.pointer.removeprefix('/')}`: {first.why}"
        elif new:
            unproven = f"the text carries `{new[:100]}`, which nobody named"
        elif dictated := self._dictated(verdicts, values):
            unproven = f"its text is what `{dictated}` returned, and nobody asked for that to be put there"
        else:
            unproven = ""
        return Judgement(
            words_known=known,
            asked_for=asked,
            proven=not unproven,
            assumed=worst is not UNTRUSTED,
            new_address=bool(new),
            verdicts=tuple(verdicts),
            why_unproven=unproven or (_UNASKED if known and not asked else ""),
            lent_by=tuple(sorted({*self.lent_by, *self.handed_by})),
        )

    def _asked(self, deciding: list[Verdict], values: list[tuple[str, Any]]) -> bool:
        """Whether the words ask for this call."""
        if (
            deciding
            and deciding[0].witness is _VERIFIER
            and all(each.witness is _VERIFIER for each in deciding)
        ):
            return self._confirms()
        which = [each for each in deciding if each.decides in _NAMING]
        handed_over = bool(self.handed_by)
        if self.grounds.delegates_all and not handed_over:
            own = bool(which) and all(each.witness in (Witness.WORDS, Witness.OPERATOR) for each in which)
            handed_over = own and bool(self.lending().sources())
        if not handed_over and not self.tool.asked_by(self.grounds.verbs):
            return False
        return Asking(
            grounds=self.grounds,
            tool=self.tool,
            values=values,
            which=which,
            roots=self.roots,
            undoable=self.manifest.effect is not _IRREVERSIBLE,
            handed_over=handed_over,
            chosen=[
                value
                for pointer, value in values
                if isinstance(value, str) and self.tool.chooses(spot_of(pointer), value)
            ],
            dictated=not which and self.wording().said_by_words(self._texts(values)),
            clauses=bool(self.bits & parts.CLAUSES),
        ).for_it()

    def _confirms(self) -> bool:
        """Whether a code that goes back to whom it came from ends what was asked for, and waits for one."""
        server = self.resolved.server
        return any(
            each.asked_for and each.server == server and wants_code(each) for each in self.memory.records.kept
        )

    def wording(self) -> Wording:
        """Who words a text."""
        return Wording(
            grounds=self.grounds,
            things=self.things(),
            records=self.memory.records,
            sends=self.manifest.egress,
        )

    def _texts(self, values: list[tuple[str, Any]]) -> list[str]:
        """What the call says in words; one of a few and when are no words."""
        return [
            value
            for pointer, value in values
            if isinstance(value, str) and self.tool.decides(spot_of(pointer), value, None) not in _NO_WORDS
        ]

    def _dictated(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> str:
        """The tool whose result has all that the call says, and nobody asked for that to be put there."""
        writes = self.manifest.effect is not _READ_ONLY
        if not (self.tainted and writes and self.grounds.known and self.bits & parts.WORDING):
            return ""
        content = {each.pointer for each in verdicts if each.decides == CONTENT}
        record = self.wording().dictated(self._texts([each for each in values if each[0] in content]))
        return record.tool if record is not None else ""

    def _new_address(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> str:
        """An address inside content that stands in no words, no vouched field, and no source handed over."""
        for verdict, (_, value) in zip(verdicts, values, strict=True):
            if verdict.decides != CONTENT or not isinstance(value, str):
                continue
            for address in addresses_in(value):
                if not self.wording().knows(address):
                    return address
        return ""


_READ_ONLY: Final = Effect.READ_ONLY
_IRREVERSIBLE: Final = Effect.IRREVERSIBLE
_MADE: Final = Witness.MADE
_VERIFIER: Final = Witness.VERIFIER
_WORDS: Final = Witness.WORDS
_OPERATOR: Final = SourceKind.OPERATOR
_SPOKEN: Final = frozenset({SourceKind.PROMPT, SourceKind.OBJECTIVE})
_UNASKED: Final = "the session's own words do not ask for it"
_FREE: Final = frozenset({WHEN, CHOICE, NEW_NAME})
_NAMING: Final = frozenset({WHICH, CODE})
_NO_WORDS: Final = frozenset({CHOICE, WHEN})
_SAID: Final[Mapping[Decides, str]] = {
    WHEN: "when",
    CHOICE: "between a few",
    NEW_NAME: "what something new is called",
}
