"""Acts 1 to 4: an office, its import, the agent's work, and what the agent may not do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolward.lab.demo import rates_server
from toolward.lab.demo.agent import Agent
from toolward.lab.demo.stage import Stage, expect
from toolward.lab.demo.world import INJECTED, TOKEN, Office, git, make_office

AGENT: Final = "bookkeeper"
RULE: Final = """
@id("bookkeeper-only-the-books")
@reason("the agent `bookkeeper` works in the books, and in no other repository")
@remedy("use repo_path `%(books)s`")
forbid (principal, action in Toolward::Action::"server:git", resource)
when { context.agent == Toolward::Agent::"bookkeeper" }
unless { context.args.repo_path == "%(quoted)s" };
"""
OVERDUE: Final = "SELECT number, amount, currency FROM orders WHERE paid = 0 AND due < '2026-10-31'"
EFFECTS: Final = ("read_only", "idempotent_write", "reversible", "compensable", "irreversible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where the agent connects, and with what."""

    url: str
    key: str


def build_office(stage: Stage) -> Office:
    """Act 1."""
    stage.begin("An office, and somebody's .mcp.json")
    office = make_office(stage.home / "office", Path(rates_server.__file__), stage.environment)
    stage.say("office/books, office/payroll   two git repositories")
    stage.say("office/orders.db               orders, some overdue; one note came by mail from a stranger")
    stage.say(
        "office/.mcp.json               uvx mcp-server-git, -time, -sqlite, and a script from somewhere"
    )
    return office


def import_office(stage: Stage, office: Office) -> None:
    """Act 2."""
    stage.begin("One command makes a ward of it")
    stage.typed("init", "ward", "--from", str(office.mcp_json))
    done = stage.run("init", str(stage.ward), "--from", str(office.mcp_json), answer="y")
    expect("`toolward init` works", done.code == 0, done.err[-800:])
    secret = f"RATES_{rates_server.TOKEN_NAME}"
    expect("init says which secret it moved", secret in done.err, done.err[-800:])
    for file in stage.ward.rglob("*.yaml"):
        expect(f"no secret stands in {file.name}", TOKEN not in file.read_text(encoding="utf-8"))
    expect("init shows its table", "sends data out" in done.out, done.out)
    rows = stage.ask("tools", "list")
    expect("every tool is approved", all(row["state"] == "approved" for row in rows), rows)
    _summary(stage, rows)
    question = next((line for line in done.err.splitlines() if line.startswith("serve these")), "")
    expect("init asks one question", question, done.err[-800:])
    stage.say(f"{question.partition(': ')[0]} y", style="bold")
    stage.good("secret moved", f"{secret} is in the secret provider now, and in no file that is checked in")


def _summary(stage: Stage, rows: list[dict[str, str]]) -> None:
    """The table of init, one line for each server."""
    servers = list(dict.fromkeys(row["server"] for row in rows))
    expect("four servers are imported", sorted(servers) == ["git", "rates", "sqlite", "time"], servers)
    for server in servers:
        own = [row for row in rows if row["server"] == server]
        effects = Counter(row["effect"] for row in own)
        text = ", ".join(f"{effects[name]} {name}" for name in EFFECTS if effects[name])
        sources = {row["effect_source"] for row in own}
        said = "catalogue" if sources == {"catalogue"} else "the server's own hint"
        expect(f"`{server}` is known to the catalogue", said == "catalogue" or server == "rates", sources)
        stage.say(f"{server:<7} {len(own):>2} tools  {text:<46} {said}", style="dim")


def open_door(stage: Stage, office: Office) -> Door:
    """Start of act 3: the office's own rule, a key, the daemon."""
    stage.begin("The agent works, and every reply carries its receipt")
    quoted = str(office.books).replace("\\", "\\\\").replace('"', '\\"')
    with (stage.ward / "policies" / "own.cedar").open("a", encoding="utf-8") as file:
        file.write(RULE % {"books": str(office.books).replace('"', "'"), "quoted": quoted})
    checked = stage.run("check", "--ward", str(stage.ward))
    expect("`toolward check` finds nothing wrong", checked.code == 0, checked.out + checked.err)
    stage.typed("keys", "create", AGENT, "--user", "ana")
    key = stage.ask("keys", "create", AGENT, "--user", "ana")["token"]
    stage.typed("up", "ward")
    return Door(url=stage.start(), key=key)


def work(stage: Stage, office: Office, door: Door) -> None:
    """Act 3: what an agent is for."""
    agent = stage.agent(door.url, door.key)
    tools = agent.tools()
    expect(
        "all tools are listed",
        {"git_commit", "read_query", "convert"} <= {_bare(name) for name in tools},
        tools,
    )
    stage.good("tools/list", f"{len(tools)} tools of 4 servers at one URL")
    stage.allow(agent, "time__get_current_time", timezone="Europe/Berlin")
    answer = stage.allow(agent, "sqlite__read_query", query=OVERDUE)
    expect("the database answers", "R-1042" in answer.text and "R-1043" in answer.text, answer.text)
    answer = stage.allow(agent, "rates__convert", amount=2150, currency="USD")
    expect("the conversion is right", answer.text == "1849.00 EUR", answer.text)
    # the agent's own editor; the gateway sees what git says of it
    file = office.books / "invoices" / "2026-10.csv"
    file.write_text("R-1042,380.50,EUR,reminded\nR-1043,1849.00,EUR,reminded\n", encoding="utf-8")
    _commit(stage, agent, str(office.books))
    log = git(office.books, stage.environment, "log", "--format=%s", "-1")
    expect("the commit is in the repository", log == "Reminders of October", log)


def _commit(stage: Stage, agent: Agent, books: str) -> None:
    stage.allow(agent, "git__git_log", repo_path=books)
    answer = stage.allow(agent, "git__git_status", repo_path=books)
    expect("git sees the new file", "invoices/2026-10.csv" in answer.text, answer.text)
    stage.allow(agent, "git__git_add", repo_path=books, files=["invoices/2026-10.csv"])
    stage.allow(agent, "git__git_commit", repo_path=books, message="Reminders of October")


def refuse(stage: Stage, office: Office, door: Door) -> None:
    """Act 4: arguments, effects and taint."""
    stage.begin("What it may not, and why: as the agent reads it")
    agent = stage.agent(door.url, door.key)
    stage.deny(agent, "git__git_log", "denied", repo_path=str(office.payroll))
    own = stage.run("call", "git/git_log", "-a", f"repo_path={office.payroll}", "--ward", str(stage.ward))
    expect("the server itself would have answered", own.code == 0 and "Begin the payroll" in own.out, own.err)
    stage.allowed += 1
    stage.deny(agent, "git__git_log", "bad_arguments", repo_path=str(office.books), max_count="all of them")
    delete = stage.deny(
        agent, "sqlite__write_query", "approval_required", query="DELETE FROM orders WHERE number = 'R-1041'"
    )
    details = delete.denial.get("details") or {}
    named = details.get("roles") == "user" and details.get("policies") == "guarded/irreversible"
    expect("the approval it would need is named", named, delete.denial)
    _taint(stage, door)


def _taint(stage: Stage, door: Door) -> None:
    """The same kind of write: fine in a clean session, stopped once a stranger's words were read."""
    agent = stage.agent(door.url, door.key)
    stage.say("a new session: clean, so an undoable write passes ...")
    stage.allow(agent, "sqlite__create_table", query="CREATE TABLE archive(number TEXT, year INTEGER)")
    mail = stage.allow(
        agent,
        "sqlite__read_query",
        query="SELECT note FROM orders WHERE number = 'R-1044'",
    )
    expect("the mail holds the instruction", "payee_override" in mail.text, mail.text)
    stage.say("... and the agent obeys the mail:")
    stage.deny(agent, "sqlite__create_table", "approval_required", query=INJECTED)
    tables = stage.allow(agent, "sqlite__list_tables")
    expect("nothing was written", "payee_override" not in tables.text, tables.text)


def _bare(name: str) -> str:
    return name.rpartition("__")[2]
