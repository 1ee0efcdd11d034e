"""`toolward init WARD`: from a client's configuration to a ward whose tools one person has approved."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from toolward.cli.findings import show_findings, summary
from toolward.cli.frame import Frame, verb
from toolward.cli.link import HouseLink, connect_daemon, opened
from toolward.cli.place import CONFIG_FILE, STATE_DIRECTORY, Place, find_person, keep_person
from toolward.cli.progress import Progress, progress
from toolward.cli.screen import Screen
from toolward.cli.tools import approvable
from toolward.errors import ToolwardError, WardError
from toolward.model.capability import PathAccess

if TYPE_CHECKING:
    from toolward.config.clients.importing import ImportPlan

SERVERS_AT_ONCE: Final = 4
"""Installing is the network's and the disk's work; more at once only makes each slower."""


@click.command("init")
@click.argument("ward", default=".")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An MCP client's configuration (Claude Desktop, .mcp.json, Cursor, VS Code); may be repeated.",
)
@click.option("--yes", is_flag=True, help="Approve what is shown, without asking.")
@click.option("--accept-findings", is_flag=True, help="Also what has a finding that blocks.")
@click.option("--profile", type=click.Choice(["observe", "guarded", "strict"]), default="guarded")
@click.option("--secrets", "provider", type=click.Choice(["file", "keyring"]), default="file")
@verb
def command(  # noqa: PLR0917 -- click names each
    frame: Frame,
    ward: str,
    sources: tuple[Path, ...],
    yes: bool,
    accept_findings: bool,
    profile: str,
    provider: str,
) -> None:
    """Make WARD, import servers, install and ask them, show what they offer, approve it with one answer.

    Run again it goes on where it was: what exists is kept, new tools are shown. A server that does not
    start is named and left out; the rest goes on.
    """
    place = Place(Path(frame.ward or ward).expanduser().absolute())
    if connect_daemon(place.state, "") is not None:
        raise WardError(
            "a daemon serves this ward",
            file=str(place.path),
            remedy="stop it, then run `toolward init` again",
        )
    from toolward.bootstrap.neighbours import note_ward  # noqa: PLC0415

    missing = _make_ward(frame.screen, place, sources, profile=profile, provider=provider)
    _draft_networks(frame.screen, place)
    if why := note_ward(place.path):
        frame.screen.warn(f"tools of other wards are not kept from this one: {why}")
    with progress(frame.screen) as bar, opened(place, "", on_progress=bar.say) as link:
        person = _sign_in(frame, place, link)
        outcome = _discover(link, bar)
        bar.close()
        rows = link.invoke("tools.list")
        waiting = [row for row in rows if row["state"] == "proposed"]
        answer = _Answer(yes=yes, accept_findings=accept_findings)
        approved = _confirm(frame.screen, link, rows, waiting, answer)
    _tell(frame.screen, place, person, outcome=outcome, rows=rows, approved=approved, missing=missing)


# --- the ward ----------------------------------------------------------------------------------------


def _make_ward(
    screen: Screen, place: Place, sources: Sequence[Path], *, profile: str, provider: str
) -> list[str]:
    """Write the ward unless there is one; returns the names of secrets that nobody gave."""
    from toolward.config.shape import Profile, SecretProvider  # noqa: PLC0415
    from toolward.config.ward import load_ward  # noqa: PLC0415
    from toolward.config.writing import WardPlan, refresh_schemas, write_ward  # noqa: PLC0415

    if (place.path / CONFIG_FILE).exists():
        load_ward(place.path)
        refresh_schemas(place.path)
        if sources:
            screen.warn(
                f"{place.path} is a ward already: nothing was imported into it;"
                " add servers in toolward.yaml, or import into a new ward"
            )
        return []
    plans = [_import(screen, source, place.path) for source in sources]
    write_ward(
        place.path,
        WardPlan(
            name=ward_name(place.path),
            profile=Profile(profile),
            servers=_merged(screen, plans),
            secrets=SecretProvider(provider),
        ),
    )
    found = {name: value for plan in plans for name, value in plan.found_secrets.items()}
    _store_secrets(screen, place, found)
    return sorted({name for plan in plans for name in plan.missing_secrets} - set(found))


def _draft_networks(screen: Screen, place: Place) -> None:
    """Grant what the catalogue knows that a server needs, and leave the lines for what it can not know."""
    from toolward.catalogue import load_catalogue  # noqa: PLC0415
    from toolward.config.ward import load_ward  # noqa: PLC0415
    from toolward.config.writing import write_drafts  # noqa: PLC0415

    servers = load_ward(place.path).config.servers
    networks = {name: load_catalogue().network_of(server.package) for name, server in servers.items()}
    for name in write_drafts(place.path, networks):
        needs = networks[name]
        if needs.destinations:
            screen.note(
                f"`{name}` may reach {', '.join(needs.destinations)}, which the catalogue says it needs:"
                f" `capabilities.network` in tools/{name}.yaml"
            )
        if needs.more:
            screen.warn(
                f"`{name}` needs {needs.more}: name them under `capabilities.network` in tools/{name}.yaml,"
                " where the lines are prepared"
            )


def _import(screen: Screen, source: Path, ward: Path) -> ImportPlan:
    from toolward.adapters.tools.mcp.packages.newest import newest_version  # noqa: PLC0415
    from toolward.catalogue import load_catalogue  # noqa: PLC0415
    from toolward.config.clients.files import read_client  # noqa: PLC0415
    from toolward.config.clients.importing import (  # noqa: PLC0415
        ImportContext,
        plan_import,
        workspace_of,
    )

    def resolve(kind: str, wanted: str) -> str:
        screen.note(f"asking for the newest {kind}:{wanted}", style="dim")
        return newest_version(kind, wanted)

    source = source.absolute()
    context = ImportContext(
        environ=os.environ,
        home=str(Path.home()),
        workspace=workspace_of(source),
        resolve_version=resolve,
        known=load_catalogue().packages(),
        is_directory=lambda path: Path(path).is_dir(),
        not_grantable=partial(_not_grantable, ward=ward),
    )
    plan = plan_import(read_client(source), file=str(source), context=context)
    for note in plan.notes:
        screen.note(note)
    return plan


def _not_grantable(directory: str, *, ward: Path) -> str:
    """Why a server that keeps data there gets no root for it, or ''."""
    from toolward.adapters.tools.mcp.stdio.programs import is_too_wide  # noqa: PLC0415
    from toolward.model.capability import Capabilities, Kept, PathCapability  # noqa: PLC0415
    from toolward.rules.capability import check_capabilities  # noqa: PLC0415

    if is_too_wide(Path(directory)):
        return f"`{directory}` holds more than that server's data"
    kept = Kept(hidden=(str(ward / STATE_DIRECTORY),), wards=(str(ward),))
    root = PathCapability(access=PathAccess.WRITE, template=directory)
    try:
        check_capabilities(Capabilities(paths=(root,)), kept=kept)
    except ToolwardError as no:
        return no.reason.text
    return ""


def _merged(screen: Screen, plans: Sequence[ImportPlan]) -> dict[str, Any]:
    """All servers; of two with one name the first file's is kept."""
    servers: dict[str, Any] = {}
    for plan in plans:
        for name, server in plan.servers.items():
            if name in servers and servers[name] != server:
                screen.warn(f"`{name}` is in two files and differs: the first file's is kept")
            servers.setdefault(name, server)
    return servers


def _store_secrets(screen: Screen, place: Place, found: Mapping[str, str]) -> None:
    from toolward.adapters.secrets import EnvironmentSecrets  # noqa: PLC0415
    from toolward.bootstrap.secrets import make_secrets  # noqa: PLC0415
    from toolward.config.ward import load_ward  # noqa: PLC0415

    if not found:
        return
    ward = load_ward(place.path)
    provider = make_secrets(ward.config, ward.path)
    if not isinstance(provider, EnvironmentSecrets):
        provider.store(found)
        kind = ward.config.secrets.provider.value
        screen.note(f"moved to the secret provider ({kind}): {', '.join(sorted(found))}")


def ward_name(path: Path) -> str:
    """A name that toolward.yaml takes, made of the directory's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", path.name).strip("-._")[:64] or "ward"


# --- the servers and their tools ---------------------------------------------------------------------


def _sign_in(frame: Frame, place: Place, link: HouseLink) -> str:
    """Sign in as the person at the terminal, the ward's first if it has none; returns the file."""
    from toolward.bootstrap.people import first_person  # noqa: PLC0415

    token = link.run(first_person(link.house))
    kept = ""
    if token:
        kept = str(keep_person(place, token))
    link.sign_in(token or find_person(place, frame.person))
    return kept


def _discover(link: HouseLink, bar: Progress) -> list[dict[str, Any]]:
    """Start every server and compare its tools; write the manifests that are missing; compare once more."""
    from toolward.catalogue import load_catalogue  # noqa: PLC0415
    from toolward.config.writing import write_manifests  # noqa: PLC0415

    house = link.house
    servers = house.ward.config.servers
    rows: list[dict[str, Any]] = link.run(_refresh_all(link, tuple(servers), bar))
    manifests: dict[str, dict[str, Any]] = {}
    for version in house.parts.registry.versions():
        if version.server in servers:
            manifests.setdefault(version.server, {})[version.name] = version.manifest
    networks = {name: load_catalogue().network_of(server.package) for name, server in servers.items()}
    if write_manifests(house.ward.path, manifests, servers=servers, networks=networks):
        link.invoke("reload")
        good = [row["server"] for row in rows if not row["error"]]
        link.invoke("refresh", servers=good) if good else None
    return rows


async def _refresh_all(link: HouseLink, servers: Sequence[str], bar: Progress) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(SERVERS_AT_ONCE)

    async def one(server: str) -> dict[str, Any]:
        async with gate:
            bar.say(f"starting {server}")
            row: dict[str, Any] = {"server": server, "tools": 0, "error": ""}
            try:
                findings = await link.house.parts.drift.refresh(server)
                row["tools"] = len(findings)
            except ToolwardError as error:
                row["error"] = error.diagnostics()
            bar.step()
            return row

    bar.total(len(servers))
    return list(await asyncio.gather(*(one(server) for server in servers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What was said on the command line before anything was asked."""

    yes: bool
    accept_findings: bool


def _confirm(
    screen: Screen,
    link: HouseLink,
    rows: Sequence[Mapping[str, Any]],
    waiting: Sequence[Mapping[str, Any]],
    answer: _Answer,
) -> int:
    """Show the one table and take the one answer; exactly the digests that were shown are approved."""
    if rows and not screen.as_json:
        show_the_table(screen, rows)
        for line in _cages(link):
            screen.say(line, style="dim")
        show_findings(screen, waiting)
    unread = answer.yes or screen.as_json or not sys.stdin.isatty()
    wanted = approvable(screen, waiting, accept_findings=answer.accept_findings, unread=unread)
    if not wanted:
        return 0
    if not answer.yes:
        if screen.as_json or not sys.stdin.isatty():
            screen.warn("nothing was approved: nobody can be asked here, and --yes was not given")
            return 0
        if not click.confirm(f"\nserve these {len(wanted)} tools as they are shown?", default=True, err=True):
            screen.note("nothing was approved; look at them with `toolward tools show SERVER/TOOL`")
            return 0
    accepted = answer.accept_findings
    return len(link.invoke("tools.approve", tools=wanted, note="init", accept_findings=accepted))


def _cages(link: HouseLink) -> Iterator[str]:
    """What the processes of each server may touch, for whoever is about to serve its tools."""
    for binding in link.house.ward.bindings:
        if binding.url:
            continue
        if binding.unsafe_no_sandbox:
            yield f"{binding.server} runs outside any cage, as your own user"
            continue
        if binding.kind.per_call:
            yield f"{binding.server} runs each call in a cage of its own, as its manifest says for each tool"
            continue
        declared = binding.capabilities
        paths = declared.paths if declared else ()
        writes = [*binding.roots, *(each.template for each in paths if each.access is PathAccess.WRITE)]
        reads = [each.template for each in paths if each.access is PathAccess.READ]
        reads += [binding.cwd] if binding.cwd and binding.cwd not in writes else []
        hosts = [f"{grant.host}:{grant.port}" for grant in declared.network] if declared else []
        yield (
            f"{binding.server} runs in a cage: beside its own program it may"
            f" read {', '.join(reads) or 'nothing'}, write {', '.join(writes) or 'nothing'}"
            f" and reach {', '.join(hosts) or 'no network'}"
            f" (more: `capabilities` in tools/{binding.server}.yaml)"
        )


def show_the_table(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> None:
    """Server, tool, effect, where that was read, egress, findings."""
    said = {"catalogue": "catalogue", "hint": "the server's own hint", "manifest": "tools/*.yaml"}
    screen.table(
        ("server", "tool", "effect", "read from", "sends data out", "state", "findings"),
        [
            (
                row["server"] if index == 0 or rows[index - 1]["server"] != row["server"] else "",
                row["name"],
                row.get("effect", "?"),
                said.get(str(row.get("effect_source")), "nobody said; the worst is assumed"),
                "yes" if row.get("egress") else "no",
                row["state"],
                summary(row),
            )
            for index, row in enumerate(rows)
        ],
    )


def _tell(
    screen: Screen,
    place: Place,
    person: str,
    *,
    outcome: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    approved: int,
    missing: Sequence[str],
) -> None:
    if screen.as_json:
        screen.result(
            {
                "ward": str(place.path),
                "servers": list(outcome),
                "tools": list(rows),
                "approved": approved,
                "person_file": person,
                "missing_secrets": list(missing),
            }
        )
    for row in outcome:
        if row["error"]:
            screen.warn(f"{row['server']} did not start: {row['error']}")
    for name in missing:
        screen.warn(f"the secret {name} has no value: toolward secrets set {name} --ward {place.path}")
    if screen.as_json:
        return
    if approved:
        screen.say(f"\n{approved} tools approved", style="bold green")
    if person:
        screen.say(f"your own credential is in {person}; keep it from agents")
    screen.say("\nnext")
    for line in _next(place):
        screen.say(f"  {line}")


def _next(place: Place) -> Iterator[str]:
    ward = shlex.quote(str(place.path))
    yield f"toolward connect claude-code --ward {ward}    (or claude-desktop, cursor, vscode)"
    yield f"toolward up {ward}"
    yield f"toolward audit tail --follow --ward {ward}"
