"""What one definition shows by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from toolward.model.finding import Finding, Severity, gravest_first
from toolward.rules.canonical import canonical
from toolward.rules.findings.confusable import latin
from toolward.rules.findings.hidden import hidden
from toolward.rules.findings.texts import EXAMINED_CHARS_MAX, Text, code, excerpt, plain, texts_of, visible
from toolward.rules.findings.words import PATTERNS, Pattern, asks_by_name

FINDINGS_MAX: Final = 50
"""Of one definition: past this a person has seen enough, and the record stays readable."""
DESCRIPTION_CHARS_MAX: Final = 8_000
"""The longest description of a tool in the catalogue has 3 000; past this nobody reads to the end."""
DEFINITION_BYTES_MAX: Final = 64 * 1024
_GAP: Final = re.compile(r"[ \t\u00a0\u2000-\u200a\u3000]{80,}|(?:[ \t]*\n){25,}")
"""White space that moves what follows out of sight."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PACKED_CHARS_MIN: Final = 60
_BLOB: Final = re.compile(
    r"[A-Za-z0-9+/_-]{120,}={0,2}|(?:[0-9a-fA-F]{2}[ :]?){100,}|(?:%[0-9a-fA-F]{2}){20,}"
)
PROSE_CHARS_MIN: Final = 8
"""Shorter texts hold no sentence and no path; most texts of a schema are that short."""

_READ: Final = "read the whole definition; what can not be seen is shown as `\\u{…}`"
_SERVER: Final = "ask the server's author why it stands there, or use another server"


def examine(definition: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What stands in the definition, the gravest first, at most `FINDINGS_MAX`; each id once per place."""
    found = [*_sizes(definition), *_arguments(definition)]
    texts = list(texts_of(definition))
    # most definitions have nothing: that is seen in all of their texts at once
    whole = "\n".join(each.text for each in texts)
    suspects = [each for each in PATTERNS if each.pattern.search(plain(whole, chars_max=len(whole)))]
    plainly_seen = whole.isascii() and _CONTROL.search(whole) is None and _GAP.search(whole) is None
    for text in texts:
        found += () if plainly_seen else _unseen(text)
        found += _said(text, suspects)
    return gravest_first(replace(each, where=visible(each.where)[:200]) for each in found)[:FINDINGS_MAX]


def _sizes(definition: Mapping[str, Any]) -> Iterator[Finding]:
    description = definition.get("description")
    if isinstance(description, str) and len(description) > DESCRIPTION_CHARS_MAX:
        yield Finding(
            id="long_description",
            severity=Severity.WARN,
            where="/description",
            text=f"{len(description)} characters, more than the {DESCRIPTION_CHARS_MAX} that anybody reads",
            remedy=_SERVER,
        )
    size = len(canonical(definition))
    if size > DEFINITION_BYTES_MAX:
        yield Finding(
            id="long_definition",
            severity=Severity.WARN,
            where="",
            text=f"{size} bytes; {DEFINITION_BYTES_MAX} are plenty",
            remedy=_SERVER,
        )


def _arguments(definition: Mapping[str, Any]) -> Iterator[Finding]:
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    for name in properties if isinstance(properties, Mapping) else ():
        if asks_by_name(plain(str(name))):
            yield Finding(
                id="asks_for_context",
                severity=Severity.WARN,
                where=f"/inputSchema/properties/{name}",
                text=f"the argument `{visible(str(name))[:80]}` asks for the conversation, a prompt or tools",
                remedy="find out what for: what the model puts there leaves with the call",
            )


def _unseen(text: Text) -> Iterator[Finding]:
    """Characters and white space that keep something from a reader."""
    seen: set[str] = set()
    for kind, start, stop in hidden(text.text):
        if kind not in seen:
            seen.add(kind)
            yield Finding(
                id="invisible_characters",
                severity=Severity.WARN if kind == "private" else Severity.BLOCK,
                where=text.pointer,
                text=f"{kind} characters: {excerpt(text.text, start, stop)}",
                remedy=_READ,
            )
    if (gap := _GAP.search(text.text)) is not None:
        after = text.text[gap.end() : gap.end() + 120]
        yield Finding(
            id="out_of_sight",
            severity=Severity.WARN,
            where=text.pointer,
            text=f"{gap.end() - gap.start()} blanks before: {visible(after)}",
            remedy=_READ,
        )
    if _is_name(text) and latin(text.text) != text.text and latin(text.text).isascii():
        yield Finding(
            id="foreign_letters",
            severity=Severity.WARN,
            where=text.pointer,
            text=f"`{_escaped(text.text)[:120]}` is written with letters that only look like"
            f" `{visible(latin(text.text))[:80]}`",
            remedy=_SERVER,
        )


def _is_name(text: Text) -> bool:
    return text.is_key or text.pointer == "/name"


def _escaped(name: str) -> str:
    """Every letter that is not plain, as its code: two names that look alike must not be printed alike."""
    return "".join(visible(each) if each.isascii() else code(each) for each in name)


def _said(text: Text, suspects: Sequence[Pattern]) -> Iterator[Finding]:
    """Words that speak to the model, and what is packed so that nobody reads it."""
    if len(text.text) < PROSE_CHARS_MIN:
        return
    read = plain(text.text) if suspects else ""
    for each in suspects:
        if (match := each.pattern.search(read)) is not None:
            yield Finding(
                id=each.id,
                severity=each.severity,
                where=text.pointer,
                text=f"{each.says}: {excerpt(read, match.start(), match.end())}",
                remedy=_READ if each.severity is not Severity.NOTE else "know where it leads",
            )
    if len(text.text) >= _PACKED_CHARS_MIN and not text.pointer.endswith("/pattern"):
        for blob in _BLOB.finditer(text.text[:EXAMINED_CHARS_MAX]):
            if _is_packed(blob.group()):
                yield Finding(
                    id="encoded_blob",
                    severity=Severity.WARN,
                    where=text.pointer,
                    text=f"{blob.end() - blob.start()} characters that nobody can read: {blob.group()[:60]}…",
                    remedy="decode it before you approve",
                )
                break


def _is_packed(text: str) -> bool:
    """Whether letters and digits are mixed as in an encoding, not as in a long name or a line."""
    if "%" in text or " " in text or ":" in text:
        return True
    digits = sum(each.isdigit() for each in text)
    capitals = sum(each.isupper() for each in text)
    return digits * 20 > len(text) and (capitals * 20 > len(text) or digits * 3 > len(text))
