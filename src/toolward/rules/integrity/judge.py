"""The integrity rule: who asks for a call, and who stands behind each value that decides in it.

Positive provenance: a value is proven by a witness, never by the absence of taint. The witnesses, in the
order in which they are asked: the session's own words; a person's endorsement; a field that the server
vouches for, of the very object that the words point at; the operator; a source that the words hand over to.
A call of which no words are known is judged without the words' part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any, Final

from toolward.model.call import ResolvedCall
from toolward.model.label import Integrity
from toolward.model.lineage import Leaf, SourceKind
from toolward.model.session import Session
from toolward.model.tool import ArgumentKind, Effect, Manifest
from toolward.model.verdict import Verdict, Witness
from toolward.rules.integrity.arguments import Decides, Tool, read_tool
from toolward.rules.integrity.asking import Asking
from toolward.rules.integrity.atoms import addresses_in
from toolward.rules.integrity.clauses import is_cut
from toolward.rules.integrity.delegation import Lending
from toolward.rules.integrity.grounds import Grounds, grounds_of
from toolward.rules.integrity.quantities import within_bounds
from toolward.rules.integrity.things import Things
from toolward.rules.integrity.verifier import belongs_to
from toolward.rules.integrity.wording import Wording
from toolward.rules.integrity.words import parts_of_name
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.records import same
from toolward.rules.lineage.spelling import canonical_text


class Mechanism(Flag):
    """Parts of the rule that can be left out, to see what each buys."""

    INTENT = auto()  # the deed and its object must be asked for
    FIELDS = auto()  # vouched fields prove
    OBJECTS = auto()  # … only of the object that the words point at
    DELEGATION = auto()  # sources that the words hand over to
    ONCE = auto()  # … once each
    BOUNDS = auto()  # quantities up to what is witnessed
    CHOICES = auto()  # when, one of a few, new names
    CODES = auto()  # one-time values to their verifier
    ADDRESSES = auto()  # new addresses in content
    CLAUSES = auto()  # the deed must be asked for where its object is named
    WORDING = auto()  # content that stands word for word in what somebody else wrote


EVERYTHING: Final = ~Mechanism(0)
SMALL_DIGITS: Final = 2
"""A number of so few digits stands in most prompts for something else."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Judgement:
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


def _name_in(pointer: str) -> str:
    """The argument that a leaf is of, or is inside of."""
    return pointer.split("/", 2)[1].replace("~1", "/").replace("~0", "~") if pointer else ""


def judge(
    resolved: ResolvedCall,
    session: Session,
    memory: SessionMemory,
    leaves: list[Leaf],
    *,
    roots: tuple[str, ...] = (),
    mechanisms: Mechanism = EVERYTHING,
) -> Judgement:
    """Pure; `leaves` are the call's, in the order of `leaves_of`, as `rules/lineage` traced them.

    `roots` are the directories that the operator declared for the server.
    """
    version = resolved.version
    tool = read_tool(version.definition) if version is not None else Tool(resolved.name, "", {})
    manifest = version.manifest if version is not None else Manifest()
    grounds = grounds_of(session, resolved.step, planned=manifest.effect is not Effect.IRREVERSIBLE)
    values = leaves_of(resolved.call.arguments)
    if not grounds.known and session.taint.integrity is not Integrity.UNTRUSTED:
        decided = [tool.decides(at, value, manifest.arguments.get(_name_in(at))) for at, value in values]
        if all(each is Decides.CONTENT for each in decided):
            return CONTENT_ALONE  # nothing decides, and nobody could have had it written
    memory.records.read()
    bench = _Bench(
        resolved=resolved,
        session=session,
        memory=memory,
        tool=tool,
        manifest=manifest,
        grounds=grounds,
        things=Things(grounds, memory.records),
        roots=roots,
        mechanisms=mechanisms,
    )
    if Mechanism.DELEGATION in mechanisms:
        text, bench.handed_by = bench.lending().handed()
        bench.things.hand_over(text)
    verdicts = [bench.verdict(leaf, value) for leaf, (_, value) in zip(leaves, values, strict=True)]
    verdicts = bench.second_look(verdicts, values)
    return bench.judgement(verdicts, values)


@dataclass(slots=True, kw_only=True)
class _Bench:
    resolved: ResolvedCall
    session: Session
    memory: SessionMemory
    tool: Tool
    manifest: Manifest
    grounds: Grounds
    things: Things
    roots: tuple[str, ...]
    mechanisms: Mechanism
    lent: set[str] = field(default_factory=set)
    handed_by: tuple[str, ...] = ()

    def lending(self) -> Lending:
        """What the words hand over to."""
        return Lending(
            grounds=self.grounds,
            things=self.things,
            records=self.memory.records,
            target=self.resolved.call.target,
            effect=self.manifest.effect,
            once=Mechanism.ONCE in self.mechanisms,
        )

    # --- one value --------------------------------------------------------------------------------

    def verdict(self, leaf: Leaf, value: Any) -> Verdict:
        """What is found of one leaf by itself; quantities and codes are looked at again beside the others."""
        pointer = leaf.pointer
        name = _name_in(pointer)
        argument = self.manifest.arguments.get(name)
        decides = self.tool.decides(pointer, value, argument)
        text = "" if value is None or isinstance(value, bool) else str(value)
        if decides is Decides.CONTENT:
            return self._found(pointer, Witness.MADE, "it is content", decides)
        known = self._witness(leaf, text, decides, name)
        if known is not None:
            return self._found(pointer, known[0], known[1], decides, known[2])
        if decides in _FREE and (Mechanism.CHOICES in self.mechanisms or not text):
            return self._found(pointer, Witness.CHOICE, f"it decides only {_SAID[decides]}", decides)
        if not text or value == self.tool.default_of(name):
            return self._found(pointer, Witness.CHOICE, "it is what the tool takes unasked", decides)
        return self._nobody(leaf, text, decides)

    def _witness(self, leaf: Leaf, text: str, decides: Decides, name: str) -> tuple[Witness, str, str] | None:
        """The first that stands behind a value: who, why, and the call it is from."""
        kinds = {source.kind for source in leaf.sources}
        told = bool(kinds & {SourceKind.PROMPT, SourceKind.OBJECTIVE}) or self._said(text, decides, name)
        if told and not (decides is Decides.WHICH and self._is_cut(text, name)):
            return Witness.WORDS, "it stands in the session's own words", ""
        endorsed = self.memory.endorsed.get(canonical_text(text)) if text else None
        if endorsed is not None:
            return Witness.ENDORSED, "a person stands for the source", endorsed
        if text and Mechanism.FIELDS in self.mechanisms and (found := self._field(text)) is not None:
            return found
        if SourceKind.OPERATOR in kinds:
            return Witness.OPERATOR, "the operator declared it", ""
        return None

    def _is_cut(self, text: str, name: str) -> bool:
        """Whether the words say more than this where they say it."""
        kinds = self.tool.parts | frozenset(parts_of_name(name))
        return Mechanism.CLAUSES in self.mechanisms and is_cut(text, self.grounds.clauses, kinds)

    def _said(self, text: str, decides: Decides, name: str) -> bool:
        """Whether the words hold it; a bare small number must be said of such a thing, not of hours."""
        if decides is Decides.WHICH and text.isdigit() and len(text) <= SMALL_DIGITS:
            kinds = self.tool.parts | frozenset(parts_of_name(name))
            return self.grounds.says_short(text, kinds)
        return bool(text) and self.grounds.says(text)

    def _field(self, text: str) -> tuple[Witness, str, str] | None:
        """A vouched field of the object that the words point at; of any object where no words are known."""
        for item, member in self.memory.records.places.get(same(text), ()):
            if not member.vouched:
                continue
            record = item.record
            where = f"`{member.name or 'result'}` of what `{record.tool}` returned"
            if not self.grounds.known or Mechanism.OBJECTS not in self.mechanisms:
                return Witness.FIELD, f"the server vouches for {where}", record.call_id
            if why := self.things.pointed_at(item):
                return Witness.FIELD, f"the server vouches for {where}, and {why}", record.call_id
        return None

    def _nobody(self, leaf: Leaf, text: str, decides: Decides) -> Verdict:
        seen = self.memory.records.places.get(same(text), ())
        where = next((item.record for item, _ in seen), None)
        if where is not None and any(member.vouched for _, member in seen):
            why = f"`{where.tool}` returned it, for an object that the session's own words do not point at"
            return Verdict(leaf.pointer, Integrity.UNTRUSTED, Witness.RESULT, why, where.call_id, decides)
        if where is not None or leaf.label.integrity is Integrity.UNTRUSTED:
            said = f"it stands in what `{where.tool}` returned" if where else "it may repeat what was read"
            source = where.call_id if where else next((s.reference for s in leaf.sources), "")
            return Verdict(leaf.pointer, Integrity.UNTRUSTED, Witness.RESULT, said, source, decides)
        return Verdict(
            leaf.pointer, leaf.label.integrity, Witness.MODEL, "the agent wrote it", decides=decides
        )

    @staticmethod
    def _found(pointer: str, witness: Witness, why: str, decides: Decides, source: str = "") -> Verdict:
        return Verdict(pointer, Integrity.TRUSTED, witness, why, source, decides)

    # --- all values together ----------------------------------------------------------------------

    def second_look(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> list[Verdict]:
        """What only the whole call tells: a source that was handed over to, a bound, a code's verifier."""
        lending = self.lending()
        out = list(verdicts)
        if Mechanism.DELEGATION in self.mechanisms:
            for at, (verdict, (_, value)) in enumerate(zip(out, values, strict=True)):
                if verdict.integrity is not Integrity.TRUSTED and (
                    record := lending.lends(
                        str(value), Decides(verdict.decides), address=self._is_address(verdict.pointer)
                    )
                ):
                    self.lent.add(record.call_id)
                    why = f"the session's own words hand over to what `{record.tool}` returned"
                    out[at] = self._found(
                        verdict.pointer, Witness.SOURCE, why, Decides(verdict.decides), record.call_id
                    )
        for at, (verdict, (_, value)) in enumerate(zip(out, values, strict=True)):
            if verdict.integrity is Integrity.TRUSTED:
                continue
            if verdict.decides == Decides.HOW_MUCH and Mechanism.BOUNDS in self.mechanisms:
                why = within_bounds(value, self.grounds, self.things, out, lending)
                witness = Witness.BOUND
            elif verdict.decides == Decides.CODE and Mechanism.CODES in self.mechanisms:
                why = belongs_to(str(value), self.resolved, self.memory.records, values)
                witness = Witness.VERIFIER
            else:
                continue
            if why:
                out[at] = self._found(verdict.pointer, witness, why, Decides(verdict.decides))
        return out

    def _is_address(self, pointer: str) -> bool:
        name = pointer.split("/", 2)[1] if pointer else ""
        argument = self.manifest.arguments.get(name)
        return argument is not None and argument.kind in (ArgumentKind.ADDRESS, ArgumentKind.URL)

    def judgement(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> Judgement:
        """The call as a whole."""
        deciding = [each for each in verdicts if each.decides != Decides.CONTENT]
        open_ones = [each for each in deciding if each.integrity is not Integrity.TRUSTED]
        new = self._new_address(verdicts, values) if Mechanism.ADDRESSES in self.mechanisms else ""
        dictated = self._dictated(verdicts, values)
        known = self.grounds.known
        asked = known and (Mechanism.INTENT not in self.mechanisms or self._asking(deciding, values).for_it())
        worst = max((each.integrity for each in deciding), default=Integrity.TRUSTED)
        why = ""
        if open_ones:
            first = open_ones[0]
            why = f"`{first.pointer.removeprefix('/')}`: {first.why}"
        elif new:
            why = f"the text carries `{new[:100]}`, which nobody named"
        elif dictated:
            why = f"its text is what `{dictated}` returned, and nobody asked for that to be put there"
        elif known and not asked:
            why = "the session's own words do not ask for it"
        return Judgement(
            words_known=known,
            asked_for=asked,
            proven=not (open_ones or new or dictated),
            assumed=worst is not Integrity.UNTRUSTED,
            new_address=bool(new),
            verdicts=tuple(verdicts),
            why_unproven=why,
            lent_by=tuple(sorted({*self.lent, *self.handed_by})),
        )

    def _asking(self, deciding: list[Verdict], values: list[tuple[str, Any]]) -> Asking:
        """What the words ask for, beside this call."""
        which = [each for each in deciding if each.decides in (Decides.WHICH, Decides.CODE)]
        own = bool(which) and all(each.witness in (Witness.WORDS, Witness.OPERATOR) for each in which)
        delegated = self.grounds.delegates_all and own and bool(self.lending().sources())
        return Asking(
            grounds=self.grounds,
            tool=self.tool,
            values=values,
            which=which,
            roots=self.roots,
            undoable=self.manifest.effect is not Effect.IRREVERSIBLE,
            handed_over=bool(self.handed_by) or delegated,
            dictated=not which and self.wording().said_by_words(self._texts(values)),
            clauses=Mechanism.CLAUSES in self.mechanisms,
        )

    def wording(self) -> Wording:
        """Who words a text."""
        return Wording(
            grounds=self.grounds, things=self.things, records=self.memory.records, sends=self.manifest.egress
        )

    def _texts(self, values: list[tuple[str, Any]]) -> list[str]:
        """What the call says in words; one of a few and when are no words."""
        free = (Decides.CHOICE, Decides.WHEN)
        return [
            value
            for pointer, value in values
            if isinstance(value, str) and self.tool.decides(pointer, value, None) not in free
        ]

    def _dictated(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> str:
        """The tool whose result has all that the call says, and nobody asked for that to be put there."""
        tainted = self.session.taint.integrity is Integrity.UNTRUSTED
        writes = self.manifest.effect is not Effect.READ_ONLY
        if not (tainted and writes and self.grounds.known and Mechanism.WORDING in self.mechanisms):
            return ""
        content = {each.pointer for each in verdicts if each.decides == Decides.CONTENT}
        record = self.wording().dictated(self._texts([each for each in values if each[0] in content]))
        return record.tool if record is not None else ""

    def _new_address(self, verdicts: list[Verdict], values: list[tuple[str, Any]]) -> str:
        """An address inside content that stands in no words, no vouched field, and no source handed over."""
        if self.session.taint.integrity is not Integrity.UNTRUSTED:
            return ""
        for verdict, (_, value) in zip(verdicts, values, strict=True):
            if verdict.decides != Decides.CONTENT or not isinstance(value, str):
                continue
            for address in addresses_in(value):
                if not self._address_known(address):
                    return address
        return ""

    def _address_known(self, address: str) -> bool:
        if address in self.grounds.addresses or self.grounds.says(address):
            return True
        places = self.memory.records.places.get(address, ())
        if any(member.vouched for _, member in places):
            return True
        return any(
            address in same(member.text)
            for record in self.memory.records.kept
            if self.things.named(record)
            for item in record.items
            for member in item.members
        )


_FREE: Final = frozenset({Decides.WHEN, Decides.CHOICE, Decides.NEW_NAME})
_SAID: Final[Mapping[Decides, str]] = {
    Decides.WHEN: "when",
    Decides.CHOICE: "between a few",
    Decides.NEW_NAME: "what something new is called",
}
