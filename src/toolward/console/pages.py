"""Templates and the files beside them. Everything that a template prints is escaped."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from toolward.console.requests import Answer
from toolward.console.shown import leaves, one_line, parts_of, shown

if TYPE_CHECKING:
    from jinja2 import Environment

MEDIA: Final = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
}


def render(template: str, **context: Any) -> bytes:
    """A page."""
    return environment().get_template(template).render(**context).encode("utf-8", "replace")


@cache
def environment() -> Environment:
    """Made when the first page is asked for: it takes longer to load than most of what the daemon needs."""
    from jinja2 import Environment as Jinja  # noqa: PLC0415
    from jinja2 import PackageLoader, StrictUndefined  # noqa: PLC0415

    made = Jinja(
        loader=PackageLoader("toolward.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=asset_path, parts_of=parts_of, shown=shown, leaves=leaves, one_line=one_line)
    return made


def asset(name: str) -> Answer | None:
    """A file that ships with the pages."""
    found = _assets().get(name)
    if found is None:
        return None
    return Answer(body=found, media=MEDIA[name.rpartition(".")[2]], keeps=True)


def asset_path(name: str) -> str:
    """Where it is served; another path when its content is another."""
    digest = hashlib.sha256(_assets()[name]).hexdigest()[:12]
    return f"/approvals/static/{name}?v={digest}"


@cache
def _assets() -> dict[str, bytes]:
    folder = resources.files("toolward.console") / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
