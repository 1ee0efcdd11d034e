"""From the desk's JSON to what a page shows. Pure, but for the time it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from toolward.console.shown import Shown, leaves, one_line, shown
from toolward.governance.moments import moment_ns
from toolward.model.approval import OWN_USER
from toolward.model.principal import Principal

VALUES_MAX: Final = 300
PAGE_CHARS_MAX: Final = 200_000
"""Past this, of all texts together, each is shown by its beginning and end: looking at them takes time."""
"""Values of one call that are shown on its page; its JSON twin has all."""
RECENT_MAX: Final = 30
GIST_VALUES: Final = 3
_TAGS: Final = {"assumed": "the model's own words", "public": ""}
"""Labels as people say them; what is public goes without saying."""
_HEADLINES: Final = {
    "pending": "May this run?",
    "approved": "This may run",
    "refused": "This was refused",
    "expired": "Nobody answered in time",
    "used": "This was agreed to, and ran",
    "ended": "This is no longer asked",
}
_STATES: Final = {
    "pending": "waiting",
    "approved": "approved",
    "refused": "refused",
    "expired": "expired",
    "used": "approved and done",
    "ended": "no longer asked",
}


class Line(Struct, frozen=True, kw_only=True):
    """One value of a call: what it is, and where it came from."""

    pointer: str
    value: Shown
    tags: tuple[str, ...] = ()
    untrusted: bool = False
    sources: tuple[str, ...] = ()


class Clock(Struct, frozen=True):
    """A moment for people: how far away, and when."""

    distance: str
    at: str
    machine: str
    past: bool


def list_view(rows: Iterable[Mapping[str, Any]], now_ns: int) -> dict[str, Any]:
    """Who waits, those with the least time first; and what was answered lately."""
    every = [_summary(row, now_ns) for row in rows]
    pending = sorted((row for row in every if row["state"] == "pending"), key=lambda row: row["expires_at"])
    recent = sorted((row for row in every if row["state"] != "pending"), key=lambda row: row["asked_at"])
    return {"pending": pending, "recent": recent[::-1][:RECENT_MAX]}


def approval_view(row: Mapping[str, Any], by: Principal, now_ns: int) -> dict[str, Any]:
    """Everything that somebody should see before answering."""
    lines, left_out = lines_of(row.get("arguments") or {}, row.get("lineage") or ())
    return {
        **_summary(row, now_ns),
        "lines": lines,
        "left_out": left_out,
        "headline": _HEADLINES.get(row["state"], "A call that was asked for"),
        "erased": row.get("arguments") is None,
        "untrusted": sum(_is_untrusted(each) for each in row.get("lineage") or ()),
        "preview": preview_of(row.get("preview")),
        "need": need_in_words(row.get("need") or {}, row["who"]["user"]),
        "own": by.user == row["who"]["user"],
        "four_eyes": bool((row.get("need") or {}).get("four_eyes")),
        "votes": row.get("votes") or (),
        "voted": any(vote["by"] == by.user for vote in row.get("votes") or ()),
        "policies": row.get("policies") or (),
        "objective": row.get("objective") or "",
        "remedy": row.get("remedy") or "",
        "undo": row.get("undo") or "",
        "session": row.get("session") or "",
    }


def lines_of(value: Any, lineage: Sequence[Mapping[str, Any]]) -> tuple[tuple[Line, ...], int]:
    """Each leaf with its lineage, and how many were left out."""
    known = {each["pointer"]: each for each in lineage}
    every = list(leaves(value))
    brief = sum(len(leaf) for _, leaf in every if isinstance(leaf, str)) > PAGE_CHARS_MAX
    lines = tuple(
        _line(pointer, leaf, known.get(pointer), brief=brief) for pointer, leaf in every[:VALUES_MAX]
    )
    return lines, max(0, len(every) - VALUES_MAX)


def _is_untrusted(told: Mapping[str, Any]) -> bool:
    return "untrusted" in (told.get("label") or {}).values()


def preview_of(preview: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a reading tool said of the call, as far as it said it in texts; else all that it said."""
    if preview is None:
        return None
    result = preview.get("result") or {}
    texts = [item["text"] for item in result.get("content") or () if isinstance(item.get("text"), str)]
    lines, _ = lines_of({str(place): text for place, text in enumerate(texts, 1)} or result, ())
    return {"tool": preview["tool"], "why_not": preview.get("why_not", ""), "lines": lines}


def gist_of(arguments: Mapping[str, Any]) -> str:
    """Enough of the arguments to tell one call from another; who answers sees all of them first."""
    short = [
        f"{one_line(pointer.lstrip('/'), 24)}: {one_line(str(value), 48)}"
        for pointer, value in islice(leaves(arguments), GIST_VALUES)
    ]
    return ", ".join(short)


def need_in_words(need: Mapping[str, Any], asker: str) -> str:
    """Who has to agree. The role `user` is the one for whom it is done."""
    roles = [asker if role == OWN_USER else f"`{role}`" for role in need.get("roles") or ()]
    if roles == [asker]:
        return f"{asker}, for whom it is done"
    quorum = int(need.get("quorum") or 1)
    people = "one person" if quorum == 1 else f"{quorum} people"
    if not roles:
        text = people
    elif need.get("every_role"):
        text = f"{people}, and each of {', '.join(roles)} among them"
    elif len(roles) == 1:
        text = f"{people} in the role {roles[0]}"
    else:
        text = f"{people} out of {', '.join(roles[:-1])} or {roles[-1]}"
    return f"{text}, and not the one for whom it is done" if need.get("four_eyes") else text


def clock_of(text: str, now_ns: int) -> Clock | None:
    """A moment as people say it."""
    try:
        ns = moment_ns(text)
    except ValueError:
        return None
    seconds = (ns - now_ns) // 1_000_000_000
    return Clock(_distance(abs(seconds)), text.replace("T", " ").replace("Z", " UTC"), text, seconds < 0)


def _summary(row: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    return {
        "id": row["approval"],
        "state": row["state"],
        "state_words": _STATES.get(row["state"], row["state"]),
        "tool": row["tool"],
        "server": row["server"],
        "who": row["who"],
        "reason": row.get("reason") or "",
        "gist": gist_of(row.get("arguments") or {}),
        "asked_at": row["asked_at"],
        "expires_at": row["expires_at"],
        "asked": clock_of(row["asked_at"], now_ns),
        "expires": clock_of(row["expires_at"], now_ns),
    }


def _line(pointer: str, value: Any, known: Mapping[str, Any] | None, *, brief: bool) -> Line:
    if known is None:
        return Line(pointer=pointer, value=shown(value, brief=brief))
    label = " ".join(str(each) for each in (known.get("label") or {}).values()).split()
    return Line(
        pointer=pointer,
        value=shown(value, brief=brief),
        tags=tuple(_TAGS.get(word, word) for word in label if _TAGS.get(word, word)),
        untrusted="untrusted" in label,
        sources=tuple(str(source) for source in known.get("sources") or () if source != "model"),
    )


def _distance(seconds: int) -> str:
    for size, one in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {one}{'s' if count > 1 else ''}"
    return "a moment"
