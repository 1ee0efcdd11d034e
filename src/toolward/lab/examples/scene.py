"""What an example's acts stand on: a running ward, people with credentials, an agent at the MCP door."""

from __future__ import annotations

import asyncio
import http.client
import runpy
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from toolward.governance.desk import invoke
from toolward.lab.demo.agent import Agent, Answer
from toolward.lab.examples.mailroom import Mailroom
from toolward.lab.report import Row
from toolward.lab.running_ward import RunningWard
from toolward.lab.toolchain import SetupFailed
from toolward.model.principal import CredentialKind, Principal

TIMEOUT_S: Final = 60


def person(name: str) -> Principal:
    """Somebody who sits at this machine, before they have a credential."""
    return Principal(user=name, agent="lab", credential=f"lab-{name}", kind=CredentialKind.PERSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The desk's answer over HTTP."""

    result: Any
    code: str = ""  # of a refusal
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Ticket:
    """One session of the agent, opened by its host."""

    session: str
    agent: Agent
    answers: list[tuple[str, Answer]] = field(default_factory=list)

    async def call(self, tool: str, /, **arguments: Any) -> Answer:
        """A call through the MCP door; never raises for a refusal."""
        answer = await asyncio.to_thread(lambda: self.agent.call(tool, **arguments))
        self.answers.append((tool, answer))
        return answer

    def code(self, tool: str) -> str:
        """How the newest call of a tool came out: `answered`, or the code of its refusal."""
        answer = next(answer for name, answer in reversed(self.answers) if name == tool)
        return answer.code or ("error" if answer.is_error else "answered")


@dataclass(slots=True, kw_only=True)
class Scene:
    """The open ward of the example in `home`, and what was seen."""

    home: Path
    ward: RunningWard
    mailroom: Mailroom
    clerk: Mapping[str, Any]  # the functions of the example's agent.py
    rows: list[Row] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)  # person or program -> credential
    agent_key: str = ""  # its name, which the host says

    def saw(self, act: str, figure: object, *, goal: str) -> None:
        """One line of the table; it holds if what was expected was seen."""
        self.rows.append(Row(act, str(figure), "", goal, str(figure) == goal))

    async def admit(self, *people: str) -> None:
        """Credentials: one for each person, one for the agent, one for the program that runs the agent."""
        for name in people:
            made = await self._made(name, kind="person")
            self.keys[name] = made["token"]
        agent = await self._made(people[0], agent="clerk", user=people[0])
        self.agent_key, self.keys["clerk"] = agent["name"], agent["token"]
        host = await self._made(people[0], agent="clerk", user=people[0], kind="host")
        self.keys["host"] = host["token"]

    async def _made(self, by: str, **parameters: Any) -> Any:
        return await invoke(self.ward.house.desk, "keys.create", parameters, person(by))

    async def desk(self, who: str, verb: str, **parameters: Any) -> Said:
        """A verb over HTTP, with that person's or program's own credential; a refusal is told, not raised."""
        return await asyncio.to_thread(self._post, who, verb, parameters)

    async def done(self, who: str, verb: str, **parameters: Any) -> Any:
        """The same, and it has to be done. Raises `SetupFailed`."""
        said = await self.desk(who, verb, **parameters)
        if said.code:
            raise SetupFailed(f"`{verb}` by {who}: {said.code}: {said.reason}")
        return said.result

    def _post(self, who: str, verb: str, parameters: Mapping[str, Any]) -> Said:
        address = urlsplit(self.ward.url)
        link = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self.keys[who]}", "Content-Type": "application/json"}
        with closing(link):
            link.request("POST", f"/admin/{verb}", orjson.dumps(parameters), headers)
            body = orjson.loads(link.getresponse().read())
        if "error" in body:
            return Said(result=None, code=body["error"]["code"], reason=body["error"]["reason"])
        return Said(result=body["result"])

    async def typed(self, who: str, *arguments: str) -> tuple[int, Any]:
        """`toolward ARGUMENTS --json` in a process of its own, as that person: (exit code, what it said)."""
        command = (sys.executable, "-m", "toolward", *arguments, "--json", "--ward", str(self.home / "ward"))

        def run() -> tuple[int, Any]:
            done = subprocess.run(
                [*command, "--person-key", self.keys[who]],
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            return done.returncode, orjson.loads(done.stdout) if done.stdout.strip() else {}

        return await asyncio.to_thread(run)

    @asynccontextmanager
    async def ticket(self, prompt: str, *, objective: str = "support") -> AsyncIterator[Ticket]:
        """The host opens a session for a ticket; the agent gets its handle and nothing else."""
        named = {"objective": objective} if objective else {}
        opened = await self.done("host", "sessions.open", key=self.agent_key, prompt=prompt, **named)
        session = str(opened["session"])
        agent = await asyncio.to_thread(
            lambda: Agent(f"{self.ward.url}/mcp", self.keys["clerk"], session=session)
        )
        try:
            yield Ticket(session=session, agent=agent)
        finally:
            agent.close()

    async def step(self, ticket: Ticket, name: str) -> None:
        """The host moves the session on."""
        _ = await self.done("host", "sessions.step", session=ticket.session, step=name)

    async def finish(self, ticket: Ticket) -> str:
        """The host has the session judged: `reached` or `failed`."""
        ended = await self.done("host", "sessions.finish", session=ticket.session)
        return str(ended["outcome"])

    def refunds(self) -> str:
        """What the shop's own table says, read beside toolward."""
        with closing(sqlite3.connect(self.home / "data" / "shop" / "shop.db")) as shop:
            rows = shop.execute("SELECT order_number, cents, state FROM refunds ORDER BY id").fetchall()
        return ", ".join(f"{order}: {cents} {state}" for order, cents, state in rows) or "none"

    def mail_to(self, address: str) -> int:
        """How many mails really left for an address."""
        return sum(to == address for to, _ in self.mailroom.delivered())

    def mails_with(self, *secrets: str) -> int:
        """How many mails really left with one of these in their text."""
        return sum(any(each in text for each in secrets) for _, text in self.mailroom.delivered())


def make_databases(home: Path) -> None:
    """The example's two, from their SQL."""
    for name in ("shop", "customers"):
        folder = home / "data" / name
        folder.mkdir()
        with closing(sqlite3.connect(folder / f"{name}.db")) as database, database:
            database.executescript((home / "data" / f"{name}.sql").read_text("utf-8"))


def load_agent(home: Path) -> Mapping[str, Any]:
    """The functions of the example's own agent."""
    return runpy.run_path(str(home / "agent.py"), run_name="agent")
