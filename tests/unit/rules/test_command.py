"""Command lines: each value is one item or a part of one, and none becomes an option."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.errors import BadArguments
from toolward.model.command import ArgumentType, CommandArgument, CommandTool
from toolward.rules.command import command_line, definition_of, flaws_of

TEXT = CommandArgument()
LIST = CommandArgument(type=ArgumentType.ARRAY)
WORDS = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)))


def command(*argv: str, stdin: str = "", **arguments: CommandArgument) -> CommandTool:
    return CommandTool(description="", argv=("/bin/x", *argv), stdin=stdin, arguments=arguments)


@pytest.mark.parametrize(
    ("argv", "arguments", "line"),
    [
        (("{a}",), {"a": "b c"}, ("b c",)),
        (("--a={a}", "x{a}y"), {"a": "-b"}, ("--a=-b", "x-by")),
        (("{{a}}", "{{{a}}}"), {"a": "1"}, ("{a}", "{1}")),
        (("-n", "{a}"), {"a": ""}, ("-n", "")),
        (("-q{a}", "z"), {}, ("z",)),
        (("--", "{a}"), {"a": "-b"}, ("--", "-b")),
    ],
)
def test_a_template_is_filled_item_by_item(
    argv: tuple[str, ...], arguments: dict[str, Any], line: tuple[str, ...]
) -> None:
    assert command_line(command(*argv, a=TEXT), arguments) == (("/bin/x", *line), "")


def test_numbers_and_lists_have_one_form() -> None:
    tool = command("{n}", "{b}", "{many}", n=CommandArgument(type=ArgumentType.NUMBER), b=TEXT, many=LIST)
    line, _ = command_line(tool, {"n": 1.5, "b": True, "many": ["a", "b c"]})
    assert line == ("/bin/x", "1.5", "true", "a", "b c")
    assert command_line(tool, {"n": 1, "b": False})[0] == ("/bin/x", "1", "false")


@pytest.mark.parametrize(
    ("argv", "arguments"),
    [
        (("{a}",), {"a": "-rf"}),
        (("{a}",), {"a": "-"}),
        (("{a}{a}",), {"a": "-"}),
        (("{a}=x",), {"a": "--output"}),
        (("{a}", "--"), {"a": "-x"}),
        (("{many}",), {"many": ["a", "-x"]}),
        (("{a}",), {"a": -1}),
        (("{a}",), {"a": "a\x00b"}),
        (("{a}",), {"a": {"b": 1}}),
    ],
)
def test_a_value_that_could_be_an_option_is_refused(argv: tuple[str, ...], arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArguments):
        command_line(command(*argv, a=TEXT, many=LIST), arguments)


def test_the_operator_may_say_that_a_dash_is_welcome() -> None:
    assert (
        command_line(command("{a}", a=CommandArgument(may_begin_with_dash=True)), {"a": "-x"})[0][1] == "-x"
    )


@given(WORDS, WORDS)
def test_whatever_is_said_stays_where_the_template_has_it(first: str, second: str) -> None:
    tool = command("-a", "--first={first}", "--", "{second}", stdin="<{first}>", first=TEXT, second=TEXT)
    line, stdin = command_line(tool, {"first": first, "second": second})
    assert line == ("/bin/x", "-a", f"--first={first}", "--", second)
    assert stdin == f"<{first}>"


@pytest.mark.parametrize(
    ("tool", "flaw"),
    [
        (command("{b}"), "`{b}` names no argument"),
        (command("{", a=TEXT), "a brace without its pair"),
        (command("{a"), "a brace without its pair"),
        (command("x", a=TEXT), "`a` stands nowhere"),
        (command("x{a}", a=LIST), "needs an item of its own"),
        (command(stdin="{a}", a=LIST), "needs an item of its own"),
        (command("{a}", a=CommandArgument(pattern="(")), "not a regular expression"),
        (command("{a}", a=CommandArgument(type=ArgumentType.INTEGER, values=("1",))), "are for a `string`"),
        (CommandTool(description="", argv=("wc",)), "is not an absolute path"),
        (CommandTool(description="", argv=("/{a}",), arguments={"a": TEXT}), "is not an absolute path"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_before_there_is_a_call(tool: CommandTool, flaw: str) -> None:
    assert any(flaw in text for _, text, _ in flaws_of(tool)), list(flaws_of(tool))


def test_the_definition_holds_what_a_caller_may_say_and_not_how_it_runs() -> None:
    tool = command("{a}", a=CommandArgument(values=("x", "y"), description="which"), many=LIST)
    definition = definition_of("pick", tool)
    assert definition["inputSchema"]["properties"] == {
        "a": {"type": "string", "enum": ["x", "y"], "description": "which"},
        "many": {"type": "array", "items": {"type": "string"}},
    }
    assert "/bin/x" not in str(definition)
