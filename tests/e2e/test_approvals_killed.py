"""`kill -9` of the gateway anywhere from ask to execution: no answer is lost, and a ledger counts one effect."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
KILLS = 7
CALLS = 60
SEED = 20261126
POLICY = """\
@id("asked") @ask("owner") @quorum("2") @execute("{execute}") @reason("two people agree")
forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"python/note");
"""
MANIFEST = """\
server: python
tools:
  note: {effect: compensable, egress: false, result: {integrity: trusted}}
"""
AGENT = """
import asyncio, sys
from pathlib import Path
from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.bootstrap import open_house
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.model.call import Action
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.store import Put, Table

WARD, LEDGER, START, CALLS = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
AGENT = Principal(user="ana", agent="a", credential="os:ana", kind=CredentialKind.OS_USER)
PEOPLE = [Principal(user=u, agent="cli", credential=f"c-{u}", kind=CredentialKind.PERSON) for u in ("olga", "otto")]

def say(*words):
    sys.stdout.write(" ".join(words) + "\\n")
    sys.stdout.flush()

def note(key: str) -> str:
    "Write one line."
    with LEDGER.open("a") as file:
        file.write(key + "\\n")
    say("noted", key)
    return f"noted {key}"

async def prepare(house):
    for person in PEOPLE:
        body = credential_body(name=person.credential, user=person.user, agent="cli", kind=person.kind)
        await house.store.commit([], [Put(Table.CREDENTIAL, credential_key(person.user), body)])
    await house.parts.drift.refresh("python")
    for pin in list(house.parts.registry.pins()):
        await house.parts.registry.approve(pin.key, by=PEOPLE[0])
    await house.desk.reload(PEOPLE[0])
    if house.parts.sessions.current("one") is None:
        await house.gateway.open_session(AGENT, SessionOrigin.HANDLE, session_id="one")

async def answered(house, key):
    while True:
        params = {"name": "note", "arguments": {"key": key}}
        attempt = Attempt(
            principal=AGENT, session_id="one", action=Action.CALL_TOOL, params=params, server="python"
        )
        reply = await house.gateway.perform(attempt, QuietExchange())
        if reply.error is None:
            return "done"
        if reply.error.data["code"] != "approval_required":
            return reply.error.data["code"]
        approval = reply.error.data["details"]["approval"]
        say("asked", key)
        for person in PEOPLE:
            shown = await invoke(house.desk, "approvals.show", {"approval": approval, "preview": False}, person)
            if person.user not in [vote["by"] for vote in shown["votes"]]:
                await invoke(house.desk, "approvals.approve", {"approval": approval}, person)
            say("voted", key)

async def main():
    functions = PythonFunctions()
    functions.register(note)
    async with open_house(WARD, functions=functions) as house:
        await prepare(house)
        for number in range(START, CALLS):
            say("answer", f"k{number}", await answered(house, f"k{number}"))
        asked = [record.body for record in house.store.find(kind="approval.asked", limit=1000)]
        say("total", "asked", str(len(asked)))

asyncio.run(main())
"""


@pytest.mark.parametrize("execute", ["retry", "approval"])
def test_from_ask_to_execution_nothing_is_lost_or_done_twice(
    tmp_path: Path, execute: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    ward, ledger = tmp_path / "ward", tmp_path / "ledger"
    (ward / "policies").mkdir(parents=True)
    ledger.touch()
    (ward / "toolward.yaml").write_text("version: 1\nname: killed\nroles: {owner: [olga, otto]}\n")
    (ward / "tools").mkdir()
    (ward / "tools" / "python.yaml").write_text(MANIFEST)
    (ward / "policies" / "a.cedar").write_text(POLICY.format(execute=execute))
    answers: dict[str, str] = {}
    last: Counter[str] = Counter()
    asked = ""
    for kill in range(KILLS + 1):
        command = [sys.executable, "-c", AGENT, str(ward), str(ledger), str(len(answers)), str(CALLS)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout
        lines = 2 + kill if kill < KILLS else sys.maxsize  # each kind of line is one of them
        said = ""
        while lines and (line := child.stdout.readline()):
            lines -= 1
            said, key, *rest = line.split()
            if said == "answer":
                answers[key] = rest[0]
            asked = rest[0] if said == "total" else asked
        if kill < KILLS:
            last[said] += 1
            time.sleep(chance.random() * 0.006)
            os.kill(child.pid, signal.SIGKILL)
        rest_of_it, _ = child.communicate()
        answers |= {
            words[1]: words[2] for words in map(str.split, rest_of_it.splitlines()) if words[0] == "answer"
        }
        assert child.returncode == (-signal.SIGKILL if kill < KILLS else 0)
    counted = Counter(ledger.read_text().split())
    wrong = [f"{key} happened {times} times" for key, times in counted.items() if times > 1]
    wrong += [
        f"{key} did not happen" for key, answer in answers.items() if answer == "done" and not counted[key]
    ]
    wrong += [
        f"{key}: {answer}" for key, answer in answers.items() if answer not in ("done", "unknown_outcome")
    ]
    with capsys.disabled():
        sys.stdout.write(f"\n{execute}: {KILLS} kills, just after {dict(last)}; {len(wrong)} violations\n")
    assert wrong == []
    assert len(answers) == CALLS
    assert asked == str(CALLS), "nobody was asked twice about one call"
