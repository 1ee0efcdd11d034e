"""`python -m toolward` is the command line."""

from __future__ import annotations

from toolward.cli import main

if __name__ == "__main__":
    main()
