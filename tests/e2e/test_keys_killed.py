"""kill -9 of the gateway among calls with idempotency keys: a ledger of the tool's own counts what happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

KILLS = 4
CALLS = 60
SEED = 20261125
AGENT = """
import asyncio, sys
from pathlib import Path
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.bootstrap import open_house
from toolward.doors.python import OpenWard
from toolward.errors import ToolwardError
from toolward.model.principal import CredentialKind, Principal

PERSON = Principal(user="olga", agent="cli", credential="person-1", kind=CredentialKind.PERSON)
LEDGER = Path(sys.argv[2])

def note(key: str) -> str:
    "Write one line."
    with LEDGER.open("a") as file:
        file.write(key + "\\n")
    return f"noted {key}"

async def main():
    functions = PythonFunctions()
    functions.register(note)
    async with open_house(sys.argv[1], functions=functions) as house:
        await house.parts.drift.refresh("python")
        for pin in list(house.parts.registry.pins()):
            await house.parts.registry.approve(pin.key, by=PERSON)
        await house.desk.reload(PERSON)
        async with OpenWard(house).session(user="ana", agent="a") as session:
            async def one(n):
                try:
                    result = await session.call_once(f"k{n}", "python/note", {"key": f"k{n}"})
                    said = result.text
                except ToolwardError as error:
                    said = error.reason.code.value
                sys.stdout.write(f"k{n} {said}\\n")
                sys.stdout.flush()
            for start in range(0, int(sys.argv[3]), 4):
                await asyncio.gather(*(one(n) for n in range(start, start + 4)))

asyncio.run(main())
"""


@pytest.mark.e2e
def test_keys_survive_kill_9_and_no_effect_is_doubled(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    ward, ledger = tmp_path / "ward", tmp_path / "ledger"
    ward.mkdir()
    (ward / "toolward.yaml").write_text("version: 1\nname: killed\nprofile: observe\n")
    command = [sys.executable, "-c", AGENT, str(ward), str(ledger), str(CALLS)]
    said: dict[str, str] = {}
    for kill in range(KILLS + 1):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout
        left = chance.randrange(1, CALLS) if kill < KILLS else CALLS
        for _ in range(left):
            key, _, answer = child.stdout.readline().strip().partition(" ")
            assert answer, "the agent ended by itself"
            if answer == f"noted {key}":
                assert said.get(key, answer) == answer, "what was unknown once did not come out twice"
            said[key] = answer
        if kill < KILLS:
            os.kill(child.pid, signal.SIGKILL)
        _ = child.communicate()
        assert child.returncode == (-signal.SIGKILL if kill < KILLS else 0)
    assert len(said) == CALLS, "in the end each key has an answer"
    assert set(said.values()) <= {"unknown_outcome", *(f"noted {key}" for key in said)}
    counted = Counter(ledger.read_text().split())
    assert max(counted.values()) == 1, "no key made two effects"
    assert {key for key, answer in said.items() if answer.startswith("noted")} <= set(counted)
