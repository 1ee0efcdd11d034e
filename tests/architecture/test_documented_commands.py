"""What the documents say can be typed can be typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from toolward.cli import VERBS, cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")])
OTHERS = {"--requirements", "--quick", "--only", "--heed"}
"""Options of other programs that the documents name."""


def commands(
    group: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            below = group.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


COMMANDS = dict(commands(cli))
OPTIONS = {
    option for each in COMMANDS.values() for p in each.params for option in (*p.opts, *p.secondary_opts)
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_in_the_documents_is_there(document: Path) -> None:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", document.read_text(), re.DOTALL))
    typed = re.findall(r"\btoolward ([a-z]+(?:-[a-z]+)*)(?: ([a-z][a-z|\\-]*))?", code)
    assert [verb for verb, _ in typed if verb not in VERBS and verb != "verb"] == []
    for verb, below in typed:
        if isinstance(COMMANDS.get((verb,)), click.Group) and below:
            names = below.replace("\\", "").split("|")
            assert [name for name in names if (verb, name) not in COMMANDS] == [], verb
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code))
    if document.name in ("README.md", "cli.md", "conformance.md"):
        assert options - OPTIONS - OTHERS - {"--help"} == set()


def test_the_command_lines_document_names_every_verb_and_option() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [verb for verb in VERBS if f"`{verb}" not in text and f", `{verb}" not in text] == []
    for path, command in COMMANDS.items():
        if isinstance(command, click.Group):
            continue
        for name in path:
            assert name in text, path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_in_the_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [
        target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target
    ]
    assert [target for target in links if target and not (document.parent / target).exists()] == []
    paths = re.findall(r"`((?:tests|docs|requirements|schema)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    goals = set(re.findall(r"`make ([a-z]+)`", text))
    makefile = (ROOT / "Makefile").read_text()
    assert [goal for goal in goals if not re.search(rf"^{goal}:", makefile, re.MULTILINE)] == []
