"""From a labelled call to the context that the policy engine judges.

The context is built from the same typed plan as the schema, never by handing the agent's JSON on: only
members that the plan names are looked at, and each value must be of the planned type, so no `__entity` or
`__extn` of the agent's can reach the engine. Only the members that some policy at hand mentions are built
(`prune`), which is two thirds of the cost of a decision.

Numbers: Cedar's decimal holds four fraction digits and about 9.2e14. A JSON `number` that needs more is
refused *if a policy at hand mentions it*: rounding it would judge another value than the one that runs, and
leaving it out would let `unless { context.args has x && … }` and its like decide on its absence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any, Final

import orjson

from toolward.errors import CallerError, ReasonCode
from toolward.model.call import LabelledCall
from toolward.model.signal import HistoryFacts, SignalFacts
from toolward.rules.integrity.provenance import provenance_of
from toolward.rules.policy import names
from toolward.rules.policy.argument_types import RESERVED_KEYS, ArgumentType, Member, Record, SetOf

LONG_MIN: Final = -(2**63)
LONG_MAX: Final = 2**63 - 1
DECIMAL_DIGITS: Final = 4
_DECIMAL_MAX: Final = Decimal(LONG_MAX).scaleb(-DECIMAL_DIGITS)
_DECIMAL_MIN: Final = Decimal(LONG_MIN).scaleb(-DECIMAL_DIGITS)
_AMOUNT: Final = "amount"
_LATE: Final = frozenset(name for name, _ in names.HISTORY_FACTS)
_RESERVED: Final = tuple(f'"{key}":'.encode() for key in sorted(RESERVED_KEYS))

Path = tuple[str, ...]
"""Steps from `context`: `("args", "path")`."""
Convert = Callable[[Any], Any]


class Unjudgeable(CallerError):
    """A value can't be given to the policy engine as what its schema says; the decision is a denial."""

    default_code = ReasonCode.RULE_ERROR


def prune(whole: Record, mentioned: Iterable[Path]) -> Record:
    """`whole` with only what the paths reach: the path itself, all below its end, the way to it.

    A policy sees of the context only what its expressions walk to, so evaluating with the rest left out
    gives the same answer; `conditions.mentions` gives every path that an expression can walk.
    """
    paths = list(mentioned)
    return _prune(whole, paths) if all(paths) else whole


def _prune(record: Record, paths: list[Path]) -> Record:
    kept = []
    for member in record.members:
        below = [p[1:] for p in paths if p[0] == member.name]
        if not below:
            continue
        kind = member.type
        if isinstance(kind, Record) and all(below):
            kind = _prune(kind, below)
        kept.append(Member(member.name, kind, member.required, member.nullable))
    return Record(tuple(kept))


@dataclass(frozen=True, slots=True)
class ContextBuilder:
    """Builds the context of one action. `args` is None when no policy mentions an argument."""

    agent: bool
    call: tuple[str, ...]
    session: tuple[str, ...]
    history: tuple[str, ...]  # of `session` what is read late
    signals: tuple[str, ...]
    facts: Callable[[Any], Any] | None
    args: Convert | None
    provenance: tuple[str, ...] = ()

    def build(self, labelled: LabelledCall) -> str:
        """JSON text of the context. Raises `Unjudgeable`."""
        call = labelled.resolved.call
        _check_reserved(call.arguments_json)
        context: dict[str, Any] = {}
        if self.agent:
            agent = {"type": names.AGENT, "id": call.session.principal.agent}
            context["agent"] = {"__entity": agent}
        if self.facts is not None:
            self._put_facts(context, self.facts(labelled.facts))
        if self.history:
            context.setdefault("session", {}).update(_read_late(self.history, labelled.history))
        if self.signals:
            context["signals"] = _read_late(self.signals, labelled.signals)
        if self.args is not None:
            context["args"] = self.args(call.arguments)
        if self.provenance:
            context["provenance"] = provenance_of(labelled, self.provenance)
        try:
            return orjson.dumps(context).decode()
        except (TypeError, ValueError) as error:
            raise Unjudgeable(f"the arguments are not plain JSON: {error}") from error

    def _put_facts(self, context: dict[str, Any], values: Any) -> None:
        split = len(self.call)
        if split:
            context["call"] = call_facts = dict(zip(self.call, values, strict=False))
            if names.CONFIDENCE in call_facts:
                _say_confidence(call_facts)
        if self.session:
            context["session"] = dict(zip(self.session, values[split:], strict=False))


def _check_reserved(arguments_json: bytes) -> None:
    """No key that the engine gives a meaning of its own. Raises `Unjudgeable`."""
    for key in _RESERVED:
        if key in arguments_json:
            raise Unjudgeable(
                f"the arguments hold the reserved key `{key.decode()[1:-2]}`",
                code=ReasonCode.RESERVED_KEY,
                remedy="use another name for this member",
            )


def _say_confidence(facts: dict[str, Any]) -> None:
    """As the engine has decimals; an agent that said nothing of itself has none."""
    said = facts.pop(names.CONFIDENCE)
    if said:
        facts[names.CONFIDENCE] = {"__extn": {"fn": "decimal", "arg": said}}


def _read_late(wanted: tuple[str, ...], facts: SignalFacts | HistoryFacts) -> dict[str, Any]:
    """What the policies at hand ask for and no more; what there is none of is absent."""
    values: dict[str, Any] = {name: value for name in wanted if (value := getattr(facts, name)) is not None}
    if _AMOUNT in wanted:
        if _AMOUNT not in values:
            raise Unjudgeable(
                "a policy looks at the session's amounts, and one of them is no number",
                code=ReasonCode.NUMBER_OUT_OF_RANGE,
                remedy="send amounts as plain numbers; after one that was none, begin a new session",
            )
        values[_AMOUNT] = _as_decimal(values[_AMOUNT], "the sum of the session's amounts")
    return values


def compile_context(context: Record) -> ContextBuilder:
    """A builder for a (pruned) context record as `cedar_schema` makes it."""
    parts = {m.name: m.type for m in context.members}
    call, whole, signals = (_names(parts.get(x)) for x in ("call", "session", "signals"))
    session = tuple(name for name in whole if name not in _LATE)
    history = tuple(name for name in whole if name in _LATE)
    wanted = call + session
    get: Callable[[Any], Any] | None = attrgetter(*wanted) if wanted else None
    if get is not None and len(wanted) == 1:
        only = attrgetter(wanted[0])  # attrgetter of one name gives the bare value

        def get(facts: Any) -> Any:
            return (only(facts),)

    args = _converter(parts["args"], "arguments") if "args" in parts else None
    provenance = _names(parts.get("provenance"))
    return ContextBuilder("agent" in parts, call, session, history, signals, get, args, provenance)


def _names(record: ArgumentType | None) -> tuple[str, ...]:
    return tuple(m.name for m in record.members) if isinstance(record, Record) else ()


def _converter(kind: ArgumentType, where: str) -> Convert:
    if isinstance(kind, Record):
        return _record_converter(kind, where)
    if isinstance(kind, SetOf):
        return _set_converter(_converter(kind.element, f"{where}[]"), where)
    return _SCALARS[kind.name](where)


def _record_converter(record: Record, where: str) -> Convert:
    steps = [
        (m.name, _converter(m.type, f"{where}.{m.name}"), m.required, m.nullable, f"{where}.{m.name}")
        for m in record.members
    ]

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object")
        out = {}
        for name, inner, required, nullable, here in steps:
            if name not in value:
                if required:
                    raise _wrong(here, "given")
                continue
            found = value[name]
            if found is None and nullable:
                continue
            out[name] = inner(found)
        return out

    return convert


def _set_converter(inner: Convert, where: str) -> Convert:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _wrong(where, "an array")
        return [inner(x) for x in value]

    return convert


def _wrong(where: str, what: str) -> Unjudgeable:
    return Unjudgeable(
        f"`{where}` is not {what} as the tool's schema says", remedy="send it as the schema says"
    )


def _text(where: str) -> Convert:
    def convert(value: Any) -> str:
        if isinstance(value, str):
            return value
        raise _wrong(where, "a string")

    return convert


def _flag(where: str) -> Convert:
    def convert(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise _wrong(where, "a boolean")

    return convert


def _long(where: str) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON Schema counts 5.0 as an integer
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(where, "an integer")
        if LONG_MIN <= value <= LONG_MAX:
            return value
        raise _out_of_range(where, "an integer of 64 bits")

    return convert


def _decimal(where: str) -> Convert:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong(where, "a number")
        return _as_decimal(Decimal(repr(value)), where)

    return convert


def _as_decimal(exact: Decimal, where: str) -> dict[str, Any]:
    """Exactly that number, as the engine takes it. Raises `Unjudgeable`."""
    try:
        fits = exact.is_finite() and _DECIMAL_MIN <= exact <= _DECIMAL_MAX
        kept = exact.quantize(Decimal(1).scaleb(-DECIMAL_DIGITS)) if fits else exact
    except InvalidOperation as error:
        raise _out_of_range(where, "a number of four fraction digits") from error
    if not fits or kept != exact:
        raise _out_of_range(where, f"a number of {DECIMAL_DIGITS} fraction digits below 9.2e14")
    return {"__extn": {"fn": "decimal", "arg": f"{kept:f}"}}


def _out_of_range(where: str, what: str) -> Unjudgeable:
    return Unjudgeable(
        f"a policy looks at `{where}`, which must then be {what}",
        code=ReasonCode.NUMBER_OUT_OF_RANGE,
        remedy="send a smaller or rounder number",
    )


_SCALARS: Final[dict[str, Callable[[str], Convert]]] = {
    "String": _text,
    "Long": _long,
    "Bool": _flag,
    "decimal": _decimal,
}
