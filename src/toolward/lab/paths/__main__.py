"""Play one scene, by the name of its module."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """The scene that the first argument names; its exit code."""
    known = sorted(each.stem for each in Path(__file__).parent.glob("*.py") if each.stem[0] != "_")
    if sys.argv[1:2] == [] or sys.argv[1] not in known:
        sys.stderr.write(f"name a scene: {', '.join(known)}\n")
        return 2
    code: int = import_module(f"toolward.lab.paths.{sys.argv[1]}").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
