"""`toolward audit`: the record, for people who ask what happened and for people who do not believe it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.link import Link
from toolward.cli.place import PUBLIC_KEY, find_ward
from toolward.cli.screen import Screen
from toolward.errors import ReasonCode, WardError

_FOLLOW_PAUSE_S = 0.3
_COLUMNS = ("index", "time", "kind", "tool", "who", "what")


@click.group("audit")
def command() -> None:
    """Every call, denial, approval and change, in a signed log that anyone can verify offline."""


@command.command("tail")
@click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=20, help="How many records.")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what comes; needs a running daemon to be of use."
)
@verb
def tail(frame: Frame, lines: int, follow: bool) -> None:
    """The newest records, oldest first. With --json one record on each line."""
    with frame.link() as link:
        rows = list(reversed(link.invoke("audit.query", limit=lines)))
        for piece in _pieces(link, rows, follow=follow):
            if frame.screen.as_json:
                for row in piece:
                    frame.screen.line(row)
            else:
                show_records(frame.screen, piece)


def _pieces(link: Link, rows: list[dict[str, Any]], *, follow: bool) -> Iterator[list[dict[str, Any]]]:
    yield rows
    after = rows[-1]["index"] + 1 if rows else 0
    while follow:
        time.sleep(_FOLLOW_PAUSE_S)
        rows = link.invoke("audit.tail", after=after)
        if rows:
            after = rows[-1]["index"] + 1
            yield rows


@command.command("query")
@click.option("--kind", default="", help="Such as call.denied.")
@click.option("--call", "call_id", default="", help="One call's records.")
@click.option("--session", default="", help="One session's.")
@click.option("--tool", default="", help="One tool's, as server/name.")
@click.option(
    "--since", default="", help="UTC time such as 2026-11-23 or 2026-11-23T10:00, or 15m, 2h, 7d ago."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50)
@click.option("--oldest", is_flag=True, help="Oldest first.")
@verb
def query(frame: Frame, since: str, **wanted: Any) -> None:
    """Records by kind, call, session, tool and time; newest first."""
    rows = frame.ask("audit.query", since_ns=since_ns(since) if since else 0, **wanted)
    if frame.screen.as_json:
        frame.screen.result(rows)
    else:
        show_records(frame.screen, rows)


@command.command("show")
@click.argument("index", type=click.IntRange(0))
@verb
def show(frame: Frame, index: int) -> None:
    """Record INDEX whole, with its decrypted payloads."""
    row = frame.ask("audit.show", index=index)
    frame.screen.result(row)


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@verb
def export(frame: Frame, file: Path) -> None:
    """Write the whole log to FILE, to be verified elsewhere with the public key alone. Payloads stay here."""
    # absolute: a daemon has another working directory
    result = frame.ask("audit.export", path=str(file.absolute()))
    if frame.screen.as_json:
        frame.screen.result(result)
        return
    frame.screen.say(f"{result['records']} records in {result['path']}")
    frame.screen.say(f"public key: {result['public_key']}")
    frame.screen.note(f"verify it anywhere: toolward audit verify {file} --key '{result['public_key']}'")


@command.command("verify")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key", default="", metavar="PUB", help="The log's public key, or the file that holds it (log.pub)."
)
@click.option(
    "--since",
    default=None,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint or receipt kept from earlier.",
)
@verb
def verify(frame: Frame, file: Path | None, key: str, since: Path | None) -> None:
    """Verify an exported FILE, without a ward and offline; without FILE the ward's live log.

    Exits 5 and names the first bad record when the log is not what was signed.
    """
    if file is None:
        verdict = _verify_live(frame, key=_key(frame, key) if key else "", since=_checkpoint(since))
    else:
        # only here: the live log is verified where it lies
        from toolward.governance.verify import verify_export  # noqa: PLC0415

        verdict = verify_export(file, _key(frame, key), _checkpoint(since)).as_json()
    if frame.screen.as_json:
        frame.screen.result(verdict)
    else:
        frame.screen.say(verdict["sentence"], style="green" if verdict["ok"] else "bold red")
    if not verdict["ok"]:
        leave(Exit.VERIFICATION_FAILED)


def _verify_live(frame: Frame, **trusted: str) -> dict[str, Any]:
    """A log that is not even opened is a verdict too."""
    try:
        verdict: dict[str, Any] = frame.ask("audit.verify", **trusted)
    except WardError as error:
        if error.reason.code is not ReasonCode.INTEGRITY_BROKEN:
            raise
        return {"ok": False, "why": error.reason.text, "sentence": error.diagnostics()}
    return verdict


def _key(frame: Frame, given: str) -> str:
    """The public key as text. Without one, the ward's own, which the same hands may have changed."""
    if given and given.count("+") >= 2 and not Path(given).is_file():  # noqa: PLR2004 -- name+hash+key
        return given.strip()
    path = Path(given) if given else find_ward(frame.ward).state / PUBLIC_KEY
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise WardError(
            f"the public key can not be read: {error.strerror}",
            file=str(path),
            remedy="give it with `--key`; `toolward audit export` prints it",
        ) from error
    if not given:
        frame.screen.note(
            f"with the key in {path}; a key kept elsewhere (`--key`) proves more", style="yellow"
        )
    return text


def _checkpoint(file: Path | None) -> str:
    """A signed note, bare or inside a receipt or a reply's JSON. Raises `WardError` if there is none."""
    if file is None:
        return ""
    data = file.read_bytes()
    if not data.lstrip().startswith(b"{"):
        return data.decode("utf-8", errors="replace")
    try:
        value = orjson.loads(data)
        found = value.get("checkpoint") or value["receipt"]["checkpoint"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        found = None
    if not isinstance(found, str):
        raise WardError(
            "no checkpoint in this file", file=str(file), remedy="give a signed note or a receipt"
        )
    return found


def show_records(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> None:
    """Records as a table: what a person wants to see first."""
    screen.table(
        _COLUMNS,
        [
            (
                row["index"],
                str(row["record"].get("time", ""))[:19].replace("T", " "),
                row["record"].get("kind", ""),
                row["record"].get("tool", ""),
                _who(row["record"]),
                _what(row["record"]),
            )
            for row in rows
        ],
    )


def _who(record: Mapping[str, Any]) -> str:
    for name in ("principal", "by"):
        principal = record.get(name)
        if isinstance(principal, Mapping):
            return f"{principal.get('user', '')}/{principal.get('agent', '')}"
    return ""


def _what(record: Mapping[str, Any]) -> str:
    for name in ("reason", "status", "decision", "text", "name", "revision", "state", "objective"):
        value = record.get(name)
        if isinstance(value, Mapping):
            value = value.get("code") or value.get("reason")
        if isinstance(value, str) and value:
            return value if len(value) <= 60 else value[:57] + "..."  # noqa: PLR2004 -- a column's width
    return ""


def since_ns(text: str) -> int:
    """UTC nanoseconds of an ISO time, or of `15m`, `2h`, `7d` before now. Raises `click.UsageError`."""
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    if text[:-1].isdigit() and text[-1] in units:
        return time.time_ns() - int(text[:-1]) * units[text[-1]] * 1_000_000_000  # noqa: TID251 -- a person's "ago"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"`{text}` is no time; write 2026-11-23T10:00, or 2h") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000
