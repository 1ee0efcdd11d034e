"""Where a case is played: its script, its memory, the command that starts the hostile server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.lab.rugpull.cases import Case, Play

_SERVER: Final = Path(__file__).with_name("shape_shifter.py")
_INFO: Final = {"name": "weather", "version": "1"}
_HONEST: Final = "honest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One case in a folder of its own."""

    case: Case
    folder: Path

    @staticmethod
    def make(case: Case, folder: Path) -> Stage:
        """Write everything afresh."""
        shutil.rmtree(folder, ignore_errors=True)
        stage = Stage(case=case, folder=folder.absolute())
        for name in ("hostile", _HONEST):
            (stage.folder / name / "memory").mkdir(parents=True)
            shutil.copy(_SERVER, stage.folder / name / "server.py")
        after = case.after or case.before
        script: dict[str, Any] = {
            "before": {"tools": case.before, "answers": case.answers, "info": _INFO},
            "after": {
                "tools": after,
                "answers": case.answers_after,
                "info": {**_INFO, **case.info_after},
            },
            "announce": case.play in (Play.ANNOUNCED, Play.NTH_CALL, Play.BACK),
        }
        if case.turn_at_call:
            script["turn_at_call"] = case.turn_at_call
        (stage.folder / "hostile" / "script.json").write_bytes(orjson.dumps(script))
        honest = {"tools": case.victim, "answers": {}, "info": {"name": _HONEST, "version": "1"}}
        (stage.folder / _HONEST / "script.json").write_bytes(
            orjson.dumps({"before": honest, "after": honest})
        )
        return stage

    def command(self, name: str = "hostile") -> list[str]:
        """What starts a server of this stage."""
        here = self.folder / name
        return [
            sys.executable,
            "-S",
            str(here / "server.py"),
            str(here / "script.json"),
            str(here / "memory"),
        ]

    def turn(self) -> None:
        """Let the hostile server show its other face from now on."""
        if self.case.play is Play.FILE:
            program = self.folder / "hostile" / "server.py"
            program.write_text(program.read_text() + "\n# another release\n")
        (self.folder / "hostile" / "memory" / "turned").touch()

    def turn_back(self) -> None:
        """Let it be what it was."""
        (self.folder / "hostile" / "memory" / "turned").unlink()

    def forget(self) -> None:
        """As if it had never been called, for the next who plays."""
        shutil.rmtree(self.folder / "hostile" / "memory")
        (self.folder / "hostile" / "memory").mkdir()
        shutil.copy(_SERVER, self.folder / "hostile" / "server.py")

    def config(self, servers: Sequence[str]) -> dict[str, Any]:
        """A ward's `toolward.yaml` with those servers."""
        return {
            "version": 1,
            "name": "rug-pulls",
            "profile": "observe",  # what policy would say of these calls is not what is tried here
            "servers": {name: self._server(name) for name in servers},
        }

    def _server(self, name: str) -> Mapping[str, Any]:
        program, *arguments = self.command(name)
        here = str(self.folder / name)
        return {
            "command": program,
            "arguments": arguments,
            "cwd": here,
            "roots": [here],
            "definitions_max_age_s": 1,
        }
