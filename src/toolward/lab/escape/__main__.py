"""`python -m toolward.lab.escape [ID ...]` (make escape): each attempt in each cage, and poorer hosts."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from toolward.lab.escape.attempts import BY_ID
from toolward.lab.escape.columns import BWRAP, CAGES, CONTROLS, WASM, WASM_CONTROL, run_all
from toolward.lab.escape.document import document
from toolward.lab.escape.hosts import rows_of_hosts, run_hosts
from toolward.lab.escape.verdicts import rows_of, show
from toolward.lab.escape.wasm_attempts import MODULE_ATTEMPTS
from toolward.lab.escape.world import PLACE
from toolward.lab.report import Row, print_rows, write_report

DOCUMENT: Final = Path("docs/escape.md")
_SYSV: Final = ("shm", "sem", "msg")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="toolward.lab.escape", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="ID", help="these attempts only, and no report")
    parser.add_argument("--hosts", action="store_true", help="only the simulated hosts")
    parser.add_argument("--docs", action="store_true", help=f"write {DOCUMENT} from this run")
    return parser.parse_args()


def host_state() -> dict[str, object]:
    """What of this machine nothing here may change or leave behind."""
    stray = [path.name for path in Path("/proc").iterdir() if _comm(path.name).startswith("tw")]
    return {
        "name of the machine": socket.gethostname(),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "throw-away directories": sorted(map(str, Path(PLACE).glob("toolward-escape-*"))),
        "files in /tmp": sorted(map(str, Path("/tmp").glob("tw*"))),  # noqa: S108 -- where strays would lie
        "System V objects": [len(Path(f"/proc/sysvipc/{kind}").read_text().splitlines()) for kind in _SYSV],
        "processes of payloads": stray,
        "limit of user namespaces": Path("/proc/sys/user/max_user_namespaces").read_text(),
    }


def _comm(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def main() -> None:
    """Try, print the tables, write `build/reports/escape.json`."""
    given = arguments()
    unknown = set(given.only) - BY_ID.keys() - {each.id for each in MODULE_ATTEMPTS}
    if unknown:
        sys.exit(f"no such attempts: {', '.join(sorted(unknown))}")
    say = Console(width=None if sys.stdout.isatty() else 200)
    before, began = host_state(), time.perf_counter()
    rows: list[Row] = []
    told = {}
    if not given.hosts:
        told = run_all((*CAGES, *CONTROLS, BWRAP, WASM, WASM_CONTROL), given.only)
        show(told, say)
        rows += rows_of(told, complete=not given.only)
    if not given.only:
        rows += rows_of_hosts(run_hosts())
    after = host_state()
    harm = [what for what in before if before[what] != after[what]]
    rows.append(Row("done to this machine", ", ".join(harm) or "nothing", "", "nothing", not harm))
    rows.append(Row("time", round(time.perf_counter() - began, 1), "s"))
    print_rows("escape", [row for row in rows if row.goal != "contained or named"])
    if not given.only:
        say.print(write_report("escape" if not given.hosts else "escape_hosts", rows, printed=False))
    if given.docs and told and not given.only:
        DOCUMENT.write_text(document(told, rows))
        say.print(DOCUMENT)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
