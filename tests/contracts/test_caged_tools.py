"""Functions and commands run per call, and touch what the call was granted; controls show what they could."""

from __future__ import annotations

import json
import os
import socket
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.caged_world import Tools, error_of, paths, text_of

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.config.per_call import to_commands
from toolward.config.upstream_shape import CommandArgumentConfig, CommandConfig
from toolward.errors import ReasonCode, SandboxUnavailable, ToolFailed
from toolward.model.call import Failed, Returned, Stopped
from toolward.model.capability import Capabilities, IsolationLevel, Limits, PathAccess
from toolward.model.egress import Grant, Whose
from toolward.ports.sandbox import Sandbox

WC = CommandConfig(argv=("/usr/bin/wc", "-c", "{path}"), arguments={"path": CommandArgumentConfig()})


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """One level: `test_sandboxes.py` holds each level to what a cage must keep."""
    try:
        made = await CagedSandbox.open(Settings(tier=IsolationLevel.NAMESPACES, ready=2))
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)  # names the primitive that this host lacks
    yield made
    await made.close()


@pytest.fixture
async def bare() -> AsyncIterator[Sandbox]:
    """The control: no cage."""
    made = await UnsafeNoSandbox.open(Settings(ready=1))
    yield made
    await made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two directories with a file in each."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"in {name}")
    return tmp_path


# --- what a source defines ---------------------------------------------------------------------------

DEFINES = '''
from __future__ import annotations
import enum, dataclasses
from json import dumps
from typing import Annotated, Any, Literal, Optional, TypedDict

class Tone(enum.Enum):
    WARM = "warm"
    COLD = "cold"

@dataclasses.dataclass
class Point:
    x: int
    tone: Tone = Tone.WARM

class Box(TypedDict, total=False):
    size: float

def takes(a: str, b: Annotated[int, "how many"], c: Optional[bool] = None, d: Literal["x", "y"] = "x",
          e: dict[str, float] = {}, f: Any = 1, tone: Tone = Tone.COLD) -> str:
    """Take it.

    All of it.
    """
    return f"{a} {b} {c} {d} {e} {f} {tone!r}"

def points(all: list[Point], boxes: tuple[Box, ...] = ()) -> Point:
    return Point(sum(each.x for each in all), all[0].tone)

async def later(n: int) -> list[int]:
    return [n]

def _hidden(): ...
'''


async def test_signatures_become_definitions(sandbox: Sandbox, tmp_path: Path) -> None:
    tools = Tools(sandbox, tmp_path, source=DEFINES)
    described = await tools.upstreams.describe("fn")
    assert [each["name"] for each in described.tools] == ["takes", "points", "later"]
    takes = described.tools[0]
    assert takes["description"] == "Take it.\n\nAll of it."
    assert takes["inputSchema"] == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "integer", "description": "how many"},
            "c": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
            "d": {"type": "string", "enum": ["x", "y"], "default": "x"},
            "e": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
            "f": {"default": 1},
            "tone": {"type": "string", "enum": ["warm", "cold"], "default": "cold"},
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    point = described.tools[1]["inputSchema"]["properties"]["all"]["items"]
    assert (point["type"], point["required"]) == ("object", ["x"])


async def test_arguments_are_what_the_annotations_ask_for(sandbox: Sandbox, tmp_path: Path) -> None:
    tools = Tools(sandbox, tmp_path, source=DEFINES)
    assert text_of(await tools.run("fn/takes", {"a": "A", "b": 2, "tone": "warm"})) == (
        "A 2 None x {} 1 <Tone.WARM: 'warm'>"
    )
    ended = await tools.run("fn/points", {"all": [{"x": 1, "tone": "cold"}, {"x": 2}]})
    assert isinstance(ended, Returned)
    assert ended.result["structuredContent"] == {"x": 3, "tone": "cold"}
    assert text_of(await tools.run("fn/later", {"n": 1})) == "[1]"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def f(x): ...", "`f` can not be a tool: `x` has no annotation"),
        ("def f(*x: int): ...", "`x` can not be given by its name"),
        ("def f(x: bytes): ...", "has the type `bytes`, which JSON can not hold"),
        ("def f(x: dict[int, str]): ...", "has keys that are not text"),
        ("def f(x: 'Missing'): ...", "its annotations can not be read"),
        ("def _f(): ...", "it defines 0 public functions"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("import os; os._exit(0)", "can not be described"),
    ],
)
async def test_what_can_not_be_a_tool_is_said_plainly(
    sandbox: Sandbox, tmp_path: Path, source: str, why: str
) -> None:
    with pytest.raises(ToolFailed, match=why) as caught:
        await Tools(sandbox, tmp_path, source=source).upstreams.describe("fn")
    assert "mend `functions/fn.py`" in caught.value.reason.remedy


async def test_describing_runs_the_source_in_a_cage_that_may_touch_nothing(
    sandbox: Sandbox, bare: Sandbox, place: Path
) -> None:
    text = f"open({str(place / 'other' / 'mark')!r}, 'w').close()\ndef f() -> None: ..."
    with pytest.raises(ToolFailed, match="can not be imported"):
        await Tools(sandbox, place, source=text).upstreams.describe("fn")
    assert not (place / "other" / "mark").exists()
    await Tools(bare, place / "state", source=text).upstreams.describe("fn")  # the control
    assert (place / "other" / "mark").exists()


# --- what a call may touch ---------------------------------------------------------------------------

TOUCH = """
import os, socket, sys

def write(path: str, text: str) -> int:
    with open(path, "w") as file:
        return file.write(text)

def read(path: str, and_then: str = "") -> str:
    if and_then:
        return open(path).read() + open(and_then).read()
    return open(path).read()

def environment() -> dict:
    return dict(os.environ)

def connect(port: int) -> str:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return "connected"

def big(n: int) -> str:
    return "x" * n

def forever() -> None:
    while True: pass

def greedy() -> int:
    return len(bytearray(10 ** 10))

def raises(text: str) -> None:
    raise ValueError(text)

def leaves() -> None:
    sys.exit(3)

def dies() -> None:
    os._exit(3)

def odd() -> set:
    return {1}

def no_number() -> float:
    return float("nan")

def where() -> str:
    return __file__
"""


async def test_a_call_writes_in_its_own_directory_and_nowhere_else(
    sandbox: Sandbox, bare: Sandbox, place: Path
) -> None:
    tools = Tools(sandbox, place / "state", source=TOUCH)
    mine, other = place / "mine" / "new", place / "other" / "file"
    writes = paths(PathAccess.WRITE, "{dir:path}", place)
    assert (
        text_of(await tools.run("fn/write", {"path": str(mine), "text": "hello"}, capabilities=writes)) == "5"
    )
    assert mine.read_text() == "hello"
    reads = paths(PathAccess.READ, "{arg:path}", place)
    both = {"path": str(place / "mine" / "file"), "and_then": str(other)}
    assert "Error" in error_of(await tools.run("fn/read", both, capabilities=reads))
    assert text_of(await tools.run("fn/read", {"path": str(other)}, capabilities=reads)) == "in other"
    assert "Error" in error_of(await tools.run("fn/read", {"path": str(other)}))
    control = Tools(bare, place / "state", source=TOUCH)
    assert text_of(await control.run("fn/read", both, capabilities=reads)) == "in minein other"


@pytest.mark.parametrize("path", ["/etc/passwd", "mine/../../etc/passwd", "relative", "mine\x00"])
async def test_a_path_that_leads_out_of_its_root_is_refused_before_anything_runs(
    sandbox: Sandbox, place: Path, path: str
) -> None:
    tools = Tools(sandbox, place / "state", source=TOUCH)
    reads = paths(PathAccess.READ, "{arg:path}", place)
    text = path if path[0] in "/r" else f"{place}/{path}"
    ended = await tools.run("fn/read", {"path": text}, capabilities=reads)
    assert isinstance(ended, Failed)
    assert (ended.reason, ended.from_server) == (ReasonCode.PATH_REFUSED, False)


async def test_the_wards_own_state_is_never_granted(sandbox: Sandbox, place: Path) -> None:
    tools = Tools(sandbox, place / "mine", source=TOUCH)
    reads = paths(PathAccess.READ, "{arg:path}", place)
    ended = await tools.run("fn/read", {"path": str(place / "mine" / "file")}, capabilities=reads)
    assert isinstance(ended, Failed)
    assert ended.reason == ReasonCode.GRANT_REFUSED


async def test_secrets_are_given_by_name_only(sandbox: Sandbox, tmp_path: Path) -> None:
    tools = Tools(sandbox, tmp_path, source=TOUCH, ONE="first", TWO="second")
    grants = Capabilities(secrets=("ONE",), environment=(("MODE", "fast"),))
    seen = json.loads(text_of(await tools.run("fn/environment", capabilities=grants)))
    assert (seen["ONE"], seen["MODE"], "TWO" in seen) == ("first", "fast", False)
    assert "ONE" not in json.loads(text_of(await tools.run("fn/environment")))
    assert not set(seen) - {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "ONE", "MODE"}
    refused = await tools.run("fn/environment", capabilities=Capabilities(secrets=("LD_PRELOAD",)))
    assert isinstance(refused, Failed)
    assert refused.reason == ReasonCode.GRANT_REFUSED


async def test_there_is_no_network_without_a_grant(sandbox: Sandbox, bare: Sandbox, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = {"port": listener.getsockname()[1]}
        assert "Error" in error_of(await Tools(sandbox, tmp_path, source=TOUCH).run("fn/connect", port))
        assert text_of(await Tools(bare, tmp_path, source=TOUCH).run("fn/connect", port)) == "connected"


async def test_a_granted_destination_is_reached_through_a_way_out_that_knows_the_call(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    tools = Tools(sandbox, tmp_path, source=TOUCH)
    grant = Grant(host="api.example.org", port=443)
    seen = json.loads(text_of(await tools.run("fn/environment", capabilities=Capabilities(network=(grant,)))))
    assert seen["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert tools.ways == [((grant,), Whose("fn", "session-1", "call-1"))]


# --- how it ends -------------------------------------------------------------------------------------


async def test_what_a_function_raises_is_its_answer_without_places_of_the_host(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    tools = Tools(sandbox, tmp_path, source=TOUCH)
    assert error_of(await tools.run("fn/raises", {"text": "no luck"})) == "ValueError: no luck"
    assert error_of(await tools.run("fn/leaves")) == "SystemExit: 3"
    assert "not json" in error_of(await tools.run("fn/odd"))
    assert error_of(await tools.run("fn/no_number")).startswith("ValueError")
    assert text_of(await tools.run("fn/where")) == "fn.py"


@pytest.mark.parametrize(
    ("tool", "arguments", "manifest", "reason"),
    [
        ("fn/big", {"n": 10_000}, {"output_bytes_max": 5_000}, ReasonCode.OUTPUT_TOO_LARGE),
        ("fn/forever", {}, {"timeout_ms": 300}, ReasonCode.TIMED_OUT),
        ("fn/dies", {}, {}, ReasonCode.KILLED),
        (
            "fn/forever",
            {},
            {"timeout_ms": 60_000, "capabilities": Capabilities(limits=Limits(wall_ms=300))},
            ReasonCode.TIMED_OUT,
        ),
    ],
)
async def test_a_broken_limit_stops_the_call(
    sandbox: Sandbox,
    tmp_path: Path,
    tool: str,
    arguments: dict[str, Any],
    manifest: dict[str, Any],
    reason: ReasonCode,
) -> None:
    ended = await Tools(sandbox, tmp_path, source=TOUCH).run(tool, arguments, **manifest)
    assert isinstance(ended, Stopped), ended
    assert ended.reason == reason


async def test_memory_beyond_its_limit_is_an_error_or_a_stop(sandbox: Sandbox, tmp_path: Path) -> None:
    ended = await Tools(sandbox, tmp_path, source=TOUCH).run("fn/greedy")
    if isinstance(ended, Stopped):
        assert ended.reason == ReasonCode.KILLED
    else:
        assert error_of(ended) == "MemoryError"


async def test_nothing_of_a_call_is_left_for_the_next(sandbox: Sandbox, tmp_path: Path) -> None:
    text = "seen = []\ndef f(x: int) -> list:\n seen.append(x)\n open('/tmp/mark', 'a').write('x')\n return [len(seen), open('/tmp/mark').read()]"
    tools = Tools(sandbox, tmp_path, source=text)
    for _ in range(2):
        assert text_of(await tools.run("fn/f", {"x": 1})) == '[1,"x"]'


# --- commands ----------------------------------------------------------------------------------------


async def test_a_command_reads_what_its_call_names(sandbox: Sandbox, place: Path) -> None:
    tools = Tools(sandbox, place / "state", commands={"size": WC})
    reads = paths(PathAccess.READ, "{arg:path}", place)
    file = str(place / "mine" / "file")
    assert text_of(await tools.run("cmd/size", {"path": file}, capabilities=reads)) == f"7 {file}\n"
    assert error_of(await tools.run("cmd/size", {"path": file})).startswith("exit status 1: /usr/bin/wc: ")
    assert (await tools.definition("cmd/size"))["inputSchema"]["required"] == ["path"]


async def test_no_value_becomes_an_option_or_a_second_word(sandbox: Sandbox, tmp_path: Path) -> None:
    text, flag = CommandArgumentConfig(), CommandArgumentConfig(may_begin_with_dash=True)
    commands = {
        "plain": CommandConfig(argv=("/bin/echo", "{text}"), arguments={"text": text}),
        "ended": CommandConfig(argv=("/bin/echo", "--", "{text}"), arguments={"text": text}),
        "said": CommandConfig(argv=("/bin/echo", "{text}"), arguments={"text": flag}),
        "inside": CommandConfig(argv=("/bin/echo", "a={text}"), arguments={"text": text}),
    }
    tools = Tools(sandbox, tmp_path, commands=commands)
    ended = await tools.run("cmd/plain", {"text": "-n"})
    assert isinstance(ended, Failed)
    assert ended.reason == ReasonCode.BAD_ARGUMENTS
    assert text_of(await tools.run("cmd/said", {"text": "-n"})) == ""  # the control: echo takes it for one
    assert text_of(await tools.run("cmd/ended", {"text": "-n"})) == "-- -n\n"
    assert text_of(await tools.run("cmd/inside", {"text": "-n"})) == "a=-n\n"
    hostile = "$(id) ; `id` | cat > x\n*"
    assert text_of(await tools.run("cmd/plain", {"text": hostile})) == f"{hostile}\n"


async def test_a_command_reads_stdin_and_gives_its_stdout(sandbox: Sandbox, tmp_path: Path) -> None:
    upper = CommandConfig(
        argv=("/usr/bin/tr", "a-z", "A-Z"), stdin="<{text}>", arguments={"text": CommandArgumentConfig()}
    )
    tools = Tools(sandbox, tmp_path, commands={"upper": upper})
    assert text_of(await tools.run("cmd/upper", {"text": "-abc"})) == "<-ABC>"


async def test_a_command_ends_as_it_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    def shell(text: str) -> CommandConfig:
        return CommandConfig(argv=("/bin/sh", "-c", text))

    commands = {
        "fails": shell("echo out; echo why >&2; exit 3"),
        "killed": shell("kill -9 $$"),
        "floods": CommandConfig(argv=("/usr/bin/yes",)),
        "sleeps": CommandConfig(argv=("/bin/sleep", "60")),
        "missing": CommandConfig(argv=("/bin/nothing-of-this-name",)),
        "secret": shell('printf %s "$ONE"'),
    }
    tools = Tools(sandbox, tmp_path, commands=commands, ONE="first")
    assert error_of(await tools.run("cmd/fails")) == "exit status 3: why"
    assert error_of(await tools.run("cmd/killed")) == "ended by signal 9"
    assert "/bin/nothing-of-this-name" in error_of(await tools.run("cmd/missing"))
    floods, sleeps = await tools.run("cmd/floods"), await tools.run("cmd/sleeps", timeout_ms=300)
    assert isinstance(floods, Stopped)
    assert isinstance(sleeps, Stopped)
    assert (floods.reason, sleeps.reason) == (ReasonCode.OUTPUT_TOO_LARGE, ReasonCode.TIMED_OUT)
    assert text_of(await tools.run("cmd/secret", capabilities=Capabilities(secrets=("ONE",)))) == "first"


# --- an environment of its own -----------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str, text: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


async def test_functions_have_a_locked_environment_of_their_own(
    sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = place / "shelf"
    shelf.mkdir()
    wheel(shelf, "counting", "1.5", "def twice(x): return 2 * x")
    for name, value in (("FIND_LINKS", str(shelf)), ("NO_INDEX", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv(f"UV_{name}", value)
    text = "import counting, os, sys\ndef f(x: int) -> list[str]: return [str(counting.twice(x)), sys.prefix, str(os.path.exists('/etc/passwd'))]\ndef dies() -> None: os._exit(1)"
    tools = Tools(sandbox, place / "state", source=text, requirements=("counting==1.5",))
    described = await tools.upstreams.describe("fn")
    assert described.lock.startswith("sha256:")
    value, prefix, _ = json.loads(text_of(await tools.run("fn/f", {"x": 21})))
    assert value == "42"
    assert prefix.startswith(str(place / "state" / "servers" / "fn-"))
    assert prefix != sys.prefix
    ended = await tools.run("fn/dies")
    assert isinstance(ended, Stopped)
    assert ended.reason == ReasonCode.KILLED
    assert os.fspath(place) not in ended.message


# --- what was approved is what runs ------------------------------------------------------------------


async def test_a_source_that_is_not_the_approved_one_does_not_run(sandbox: Sandbox, tmp_path: Path) -> None:
    tools = Tools(sandbox, tmp_path, source="def f() -> str:\n    return 'one'\n")
    assert text_of(await tools.run("fn/f")) == "one"
    other = replace(tools.bindings["fn"], source="def f() -> str:\n    return 'two'\n")
    in_force = await tools.upstreams.prepare([other], ())
    assert text_of(await tools.run("fn/f")) == "one"  # prepared only
    in_force()
    refused = await tools.run("fn/f")
    assert isinstance(refused, Failed)
    assert refused.reason == ReasonCode.STALE_DEFINITION.value
    tools.bindings["fn"] = other  # the control: as if that one had been approved
    assert text_of(await tools.run("fn/f")) == "two"


async def test_a_command_that_is_not_the_approved_one_does_not_run(sandbox: Sandbox, tmp_path: Path) -> None:
    one = {"say": CommandConfig(description="Say.", argv=("/bin/echo", "one"))}
    two = {"say": CommandConfig(description="Say.", argv=("/bin/echo", "two"))}
    tools = Tools(sandbox, tmp_path, commands=one)
    other = replace(tools.bindings["cmd"], commands=to_commands(two))
    (await tools.upstreams.prepare([other], ()))()
    refused = await tools.run("cmd/say")
    assert isinstance(refused, Failed)
    assert refused.reason == ReasonCode.STALE_DEFINITION.value
    tools.bindings["cmd"] = other
    assert text_of(await tools.run("cmd/say")) == "two\n"
