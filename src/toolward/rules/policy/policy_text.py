"""Policies as they stand in files: split with their lines, parsed one by one, annotations read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import cedarpy
from cedarpy import pst

from toolward.errors import WardError

ANNOTATIONS: Final = frozenset(
    (
        *("id", "ask", "quorum", "expires", "four_eyes", "execute", "path", "rollback"),
        *("reason", "remedy", "title", "owner", "note"),
    )
)
"""What an annotation may be called. An unknown one is an error: `@quorm("2")` would weaken a rule unseen."""
_ASK_DETAILS: Final = ("quorum", "expires", "four_eyes", "execute")
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
EXPIRES_DEFAULT_S: Final = 3600
EXPIRES_MAX_S: Final = 30 * 86_400
QUORUM_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class AskRule:
    """Who may lift an askable forbid. Any of `roles`; the role `user` is the caller's own user."""

    roles: tuple[str, ...]
    quorum: int = 1
    four_eyes: bool = False
    expires_s: int = EXPIRES_DEFAULT_S
    at_once: bool = False  # `@execute("approval")`: it runs when the last vote arrives


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: where it stands, what it says, and its syntax tree (with `policy_id` as its id)."""

    policy_id: str
    file: str
    line: int
    text: str
    tree: pst.Template
    ask: AskRule | None
    digest: bytes

    @property
    def permits(self) -> bool:
        """Whether it is a permit; else it is a forbid."""
        return self.tree.effect == "permit"

    @property
    def rolls_back(self) -> bool:
        """Whether the session of a call that it denies is taken back."""
        return "rollback" in self.tree.annotations

    @property
    def secures(self) -> bool:
        """Whether it is a permit that moves what it permits to the secure path."""
        return "path" in self.annotations

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations, `@id` included."""
        return self.tree.annotations


@dataclass(frozen=True, slots=True)
class Chunk:
    """One statement of a file: its text without leading comments, and the line of its first token."""

    line: int
    text: str


# What may stand before, inside and between statements, longest first. `;` ends a statement wherever it
# stands outside strings and comments: Cedar uses it for nothing else.
_TOKEN: Final = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|;|[^;"/]+|.', re.DOTALL)


def split_policies(text: str) -> Iterator[Chunk]:
    """The statements of a file in order; a last one without `;` is given too, and fails to parse."""
    line, start_line, parts = 1, 0, list[str]()
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if not parts:
            blank = piece.startswith("//") or not piece.strip()
            if not blank:
                lead = piece[: len(piece) - len(piece.lstrip())]
                start_line = line + lead.count("\n")
                parts.append(piece.lstrip())
        else:
            parts.append(piece)
        line += piece.count("\n")
        if piece == ";":
            yield Chunk(start_line, "".join(parts))
            parts = []
    if parts:
        yield Chunk(start_line, "".join(parts).rstrip())


def read_policies(file: str, text: str) -> Iterator[Policy | WardError]:
    """Each policy of a file, or what is wrong with it. The errors are given, not raised, to find all."""
    on_line, last = 0, 0
    for chunk in split_policies(text):
        on_line = on_line + 1 if chunk.line == last else 1
        last = chunk.line
        place = f"{file}:{chunk.line}" if on_line == 1 else f"{file}:{chunk.line}#{on_line}"
        try:
            yield _read(file, chunk, place)
        except WardError as error:
            yield error


def _read(file: str, chunk: Chunk, place: str) -> Policy:
    def wrong(text: str, remedy: str) -> WardError:
        return WardError(text, file=file, line=chunk.line, remedy=remedy)

    try:
        parsed = cedarpy.policies_to_pst(chunk.text)
    except ValueError as error:
        missing = "" if chunk.text.endswith(";") else "; the statement has no `;`"
        raise wrong(f"policy does not parse: {error}{missing}", "mend the policy that begins here") from error
    if parsed.templates or len(parsed.static_policies) != 1:
        raise wrong("templates are not supported", "write the principal or resource in place of the slot")
    (tree,) = parsed.static_policies.values()
    policy_id = tree.annotations.get("id") or place
    try:
        ask = _ask(tree)
        _check_path(tree)
    except ValueError as error:
        raise wrong(f"policy `{policy_id}`: {error}", "see `docs/policy.md`, annotations") from error
    return Policy(
        policy_id=policy_id,
        file=file,
        line=chunk.line,
        text=chunk.text,
        tree=replace(tree, id=policy_id),
        ask=ask,
        digest=hashlib.sha256(f"{policy_id}\0{chunk.text}".encode()).digest(),
    )


def _ask(tree: pst.Template) -> AskRule | None:
    """The askable annotations; raises `ValueError` in words for the operator."""
    notes = tree.annotations
    for name in notes:
        if name not in ANNOTATIONS:
            raise ValueError(f"unknown annotation `@{name}`; known are {', '.join(sorted(ANNOTATIONS))}")
    _check_rollback(tree)
    details = [name for name in _ASK_DETAILS if name in notes]
    if "ask" not in notes:
        if details:
            raise ValueError(f'`@{details[0]}` says how a person is asked, and `@ask("role")` is missing')
        return None
    if tree.effect == "permit":
        raise ValueError("`@ask` stands on a permit; only a forbid can be lifted by a person")
    roles = tuple(r.strip() for r in notes["ask"].split(",") if r.strip())
    if not roles:
        raise ValueError('`@ask` names no role; write `@ask("user")` for the caller\'s own user')
    quorum = notes.get("quorum", "1")
    if not quorum.isascii() or not quorum.isdigit() or not 1 <= int(quorum) <= QUORUM_MAX:
        raise ValueError(f'`@quorum("{quorum}")` is not a number from 1 to {QUORUM_MAX}')
    if notes.get("four_eyes", "") not in ("", "true"):
        raise ValueError("`@four_eyes` takes no value; leave it out where one person is enough")
    execute = notes.get("execute", "retry")
    if execute not in ("retry", "approval"):
        raise ValueError(f'`@execute("{execute}")` is neither `retry` nor `approval`')
    return AskRule(
        roles, int(quorum), "four_eyes" in notes, _expires(notes.get("expires")), execute == "approval"
    )


def _check_rollback(tree: pst.Template) -> None:
    notes = tree.annotations
    if "rollback" not in notes:
        return
    if tree.effect == "permit" or "ask" in notes:
        raise ValueError(
            "`@rollback` is what follows when a forbid denies; a permit or an `@ask` denies nothing"
        )
    if notes["rollback"] not in ("", "true"):
        raise ValueError("`@rollback` takes no value: the whole session is taken back, up to its last seal")


def _check_path(tree: pst.Template) -> None:
    """Raise `ValueError` for `@path` where it would mean nothing, or something that is never done."""
    path = tree.annotations.get("path", "secure")
    if path != "secure":
        raise ValueError(f'`@path("{path}")`: a call can be moved to the path `secure` only')
    if "path" in tree.annotations and tree.effect != "permit":
        raise ValueError("`@path` stands on a forbid; what is forbidden goes no path")


def _expires(text: str | None) -> int:
    if text is None:
        return EXPIRES_DEFAULT_S
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= EXPIRES_MAX_S:
        raise ValueError(f'`@expires("{text}")` is not a duration like `30m`, `1h` or `7d`, at most 30d')
    return seconds
