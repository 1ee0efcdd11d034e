"""What every verb has: `--json`, `--ward`, a person's credential, and an end without a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import click

from toolward.cli.exits import Exit, exit_for
from toolward.cli.link import Link, linked
from toolward.cli.place import Place, find_person, find_ward
from toolward.cli.screen import Screen
from toolward.errors import Reason, ReasonCode, ToolwardError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Frame:
    """What a verb works with."""

    screen: Screen
    ward: str
    person: str

    @property
    def place(self) -> Place:
        """The ward that is meant. Raises `WardError` when there is none."""
        return find_ward(self.ward)

    @contextmanager
    def link(self, *, on_progress: Callable[[str], None] | None = None) -> Iterator[Link]:
        """The ward, ready to answer."""
        place = self.place
        with linked(place, find_person(place, self.person), on_progress=on_progress) as link:
            yield link

    def ask(self, verb: str, **parameters: Any) -> Any:
        """Run one verb of the desk."""
        with self.link() as link:
            return link.invoke(verb, **parameters)


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command the common options; the function gets a `Frame` as its first parameter."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, all else on stderr.")
    @click.option(
        "--ward", "ward_option", default="", metavar="DIR", help="The ward; else $TOOLWARD_WARD, else here."
    )
    @click.option(
        "--person-key",
        default="",
        metavar="TOKEN",
        help="A person's credential; else $TOOLWARD_PERSON, else the one `init` kept.",
    )
    @functools.wraps(function)
    def run(*, as_json: bool, ward_option: str, person_key: str, **parameters: Any) -> None:
        screen = Screen(as_json)
        with ends(screen):
            function(Frame(screen, ward_option, person_key), **parameters)

    return run


@contextmanager
def ends(screen: Screen) -> Iterator[None]:
    """Turn what a verb raises into words and an exit code."""
    try:
        yield
    except ToolwardError as error:
        screen.error(error)
        _leave(exit_for(error.reason.code))
    except KeyboardInterrupt:
        screen.note("interrupted")
        _leave(Exit.INTERRUPTED)
    except BrokenPipeError:
        _leave(Exit.OK)  # whoever read our output has seen enough
    except OSError as error:
        where = f" `{error.filename}`" if error.filename else ""
        text = f"the machine refused: {error.strerror or error}{where}"
        screen.failed(Reason(code=ReasonCode.GATEWAY_UNAVAILABLE, text=text), text)
        _leave(Exit.UNAVAILABLE)


def _leave(code: Exit) -> NoReturn:
    raise click.exceptions.Exit(int(code))


def leave(code: Exit) -> NoReturn:
    """End the verb with this exit code, everything having been said."""
    _leave(code)
