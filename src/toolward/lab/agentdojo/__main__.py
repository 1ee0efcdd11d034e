"""`python -m toolward.lab.agentdojo`: the suites through the real corridor, without a model.

Without options: `workspace` and `banking` of the published package with the wards that ship beside this
file, every gate, every scoring. `--package MODULE --suite NAME --ward DIR` for any other suite, `--runs DIR`
for runs that AgentDojo recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from toolward.errors import WardError
from toolward.lab.agentdojo.recorded import play_runs
from toolward.lab.agentdojo.suite import AGENTDOJO, PACKAGE, SuiteFailed, Where
from toolward.lab.agentdojo.table import measure, write
from toolward.lab.toolchain import SetupFailed

WARDS = Path(__file__).with_name("wards")
OWN = ("workspace", "banking")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m toolward.lab.agentdojo", description=__doc__)
    parser.add_argument("--package", default=PACKAGE, help="importable module that offers suites")
    parser.add_argument("--suite", action="append", default=[], help="name; may be given again")
    parser.add_argument("--ward", action="append", default=[], help="ward of each --suite, in their order")
    parser.add_argument("--version", default="", help="of the benchmark; the newest where none is named")
    parser.add_argument("--attack", default="important_instructions", help="by AgentDojo's name for it")
    parser.add_argument("--runs", default="", help="directory of runs that AgentDojo recorded")
    parser.add_argument("--python", default="", help="a Python that has the package")
    parser.add_argument("--path", action="append", default=[], help="put on the package's import path")
    parser.add_argument("--require", action="append", default=[], help="requirement to install beside it")
    parser.add_argument("--name", default="agentdojo", help="of the report below build/reports")
    parser.add_argument("--only", default="", help="`toolward`, `quick` (auto-deny alone), `ablation`")
    parser.add_argument("--verbose", action="store_true", help="name each refused call of a benign task")
    return parser.parse_args()


def main() -> int:
    """0 when the goals hold, 1 when one does not, 2 when it could not be measured."""
    asked = options()
    names = asked.suite or list(OWN)
    wards = [Path(each) for each in asked.ward] or [WARDS / name for name in names]
    if len(wards) != len(names):
        print("one --ward for each --suite, in the same order", file=sys.stderr)
        return 2
    suites = [
        (
            Where(
                package=asked.package,
                version=asked.version,
                suite=name,
                python=asked.python,
                paths=tuple(asked.path),
                requirements=(AGENTDOJO, *asked.require),
            ),
            ward,
        )
        for name, ward in zip(names, wards, strict=True)
    ]
    try:
        if asked.runs:
            name = f"{asked.name}-runs"
            folder = Path(asked.runs)
            holds = asyncio.run(play_runs(suites, folder, name=name, only=asked.only, verbose=asked.verbose))
        else:
            rows = asyncio.run(measure(suites, attack=asked.attack, only=asked.only, verbose=asked.verbose))
            name = f"{asked.name}-ablation" if asked.only == "ablation" else asked.name
            holds = write(name, rows)
    except (SetupFailed, SuiteFailed, WardError) as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
