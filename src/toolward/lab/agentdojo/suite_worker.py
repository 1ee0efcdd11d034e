"""The suites' own world, in the environment where they are installed; started by path, never imported.

It speaks one JSON value a line: a request with `do` in, an answer out. It knows tasks, injections, ground
truth and checkers; the gate on the other side is given none of them but the prompt and the tools.

list    -> {tools, users, injections}
begin   {user, injection, attack | injections} -> {prompt, calls, attack_calls}
call    {tool, arguments} -> {text, value, error, visible}
finish  {said} -> {utility, security}
"""

from __future__ import annotations

import importlib
import io
import json
import pickle
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

VISIBLE_CHARS_MIN = 8
"""Shorter pieces of an injection stand in honest results too."""
KEPT_MAX = 1_000
"""Environments that stay ready, some hundred kilobytes each: every gate plays the same cases."""


def modules_of(package: str) -> Iterator[Any]:
    """The module itself and the places where AgentDojo's interface keeps its suites."""
    for name in (package, f"{package}.task_suite.load_suites", f"{package}.load_suites", f"{package}.suites"):
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise


def find_suite(package: str, version: str, name: str) -> Any:
    """The suite of that name; the newest version that has it where none is named."""
    for module in modules_of(package):
        found = in_module(module, version, name)
        if found is not None:
            return found
    raise LookupError(f"no suite `{name}` in `{package}`")


def in_module(module: Any, version: str, name: str) -> Any:
    """By `get_suites`, or as a value of the module; None if it is not here."""
    if hasattr(module, "get_suites"):
        versions = [version] if version else newest_first(getattr(module, "_SUITES", {}))
        for each in versions or [""]:
            suites = module.get_suites(each) if each else {}
            if name in suites:
                return suites[name]
    for value in vars(module).values():
        candidates = value.values() if isinstance(value, dict) else [value]
        for each in candidates:
            fits = getattr(each, "name", None) == name and hasattr(each, "user_tasks")
            if fits and not isinstance(each, type):
                return each
    return None


def newest_first(versions: Any) -> list[str]:
    """`v1.2.2` before `v1.2`."""

    def numbers(text: str) -> list[int]:
        return [int(part) if part.isdigit() else 0 for part in text.lstrip("v").split(".")]

    return sorted(versions, key=numbers, reverse=True)


class World:
    """One suite, and the case at hand."""

    def __init__(self, package: str, version: str, name: str) -> None:
        self.root = "agentdojo" if package == "agentdojo" else base_of(package)
        self.suite = find_suite(package, version, name)
        runtime = importlib.import_module(f"{self.root}.functions_runtime")
        self.runtime = runtime.FunctionsRuntime(self.suite.tools)
        self.attacks: dict[str, Any] = {}
        self.user: Any = None
        self.injection: Any = None
        self.env: Any = None
        self.before: Any = None
        self.planted: list[str] = []
        self.ran: list[Any] = []
        self.kept: dict[str, bytes] = {}

    def list(self, _: dict[str, Any]) -> dict[str, Any]:
        """Tools as MCP defines them, and the tasks' identifiers."""
        return {
            "tools": [definition(tool) for tool in self.suite.tools],
            "users": list(self.suite.user_tasks),
            "injections": list(self.suite.injection_tasks),
        }

    def begin(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A fresh environment for one case."""
        self.user = self.suite.user_tasks[asked["user"]]
        self.injection = self.suite.injection_tasks[asked["injection"]] if asked["injection"] else None
        planted = asked.get("injections")
        if planted is None:
            planted = self.attack(asked["attack"]) if self.injection is not None else {}
        self.planted = [text for each in planted.values() if len(text := folded(each)) >= VISIBLE_CHARS_MIN]
        self.env = self.user.init_environment(self.environment(planted))
        made = pickle.dumps(self.env)  # a copy by this way costs a fraction of a deep one
        self.before = pickle.loads(made)  # noqa: S301 -- this process wrote it
        self.ran = []
        calls = self.user.ground_truth(pickle.loads(made))  # noqa: S301 -- as above
        theirs = []
        if self.injection is not None:
            theirs = self.injection.ground_truth(pickle.loads(made))  # noqa: S301 -- as above
        return {
            "prompt": self.user.PROMPT,
            "calls": [plain_call(each) for each in calls],
            "attack_calls": [plain_call(each) for each in theirs],
            "said": str(self.user.GROUND_TRUTH_OUTPUT or ""),
            "attack_said": str(getattr(self.injection, "GROUND_TRUTH_OUTPUT", "") or ""),
        }

    def environment(self, planted: dict[str, str]) -> Any:
        """A fresh one; reading it from its files takes longer than all calls of a case."""
        key = json.dumps(planted, sort_keys=True)
        kept = self.kept.get(key)
        if kept is None:
            kept = pickle.dumps(self.suite.load_and_inject_default_environment(planted))
            if len(self.kept) < KEPT_MAX:
                self.kept[key] = kept
        return pickle.loads(kept)  # noqa: S301 -- this process wrote it

    def attack(self, name: str) -> dict[str, str]:
        """What the attack plants where the user's own calls will read it; nothing where they read nothing."""
        if name not in self.attacks:
            registry = importlib.import_module(f"{self.root}.attacks.attack_registry")
            victim = importlib.import_module(f"{self.root}.agent_pipeline.ground_truth_pipeline")
            pipeline = victim.GroundTruthPipeline(None)
            pipeline.name = "gpt-4o-2024-05-13"
            self.attacks[name] = registry.load_attack(name, self.suite, pipeline)
        try:
            return dict(self.attacks[name].attack(self.user, self.injection))
        except ValueError:
            return {}

    def call(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Run one tool in the case's environment."""
        runtime = importlib.import_module(f"{self.root}.functions_runtime")
        execution = importlib.import_module(f"{self.root}.agent_pipeline.tool_execution")
        self.ran.append(runtime.FunctionCall(function=asked["tool"], args=asked["arguments"]))
        value, error = self.runtime.run_function(self.env, asked["tool"], asked["arguments"])
        if error is not None:
            return {"text": str(error), "value": None, "error": str(error), "visible": False}
        text = execution.tool_result_to_str(value) if not isinstance(value, dict) else str(value)
        plain = as_plain(value)
        seen = folded("\n".join(texts_in(plain)))
        return {
            "text": text,
            "value": plain,
            "error": "",
            "visible": any(planted in seen for planted in self.planted),
        }

    def finish(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The suite's own verdicts."""
        said = asked["said"]
        utility = verdict(self.user, "utility", said, before=self.before, after=self.env, trace=self.ran)
        security = False
        if self.injection is not None:
            security = verdict(
                self.injection, "security", said, before=self.before, after=self.env, trace=self.ran
            )
        return {"utility": utility, "security": security}


def verdict(task: Any, kind: str, said: str, *, before: Any, after: Any, trace: Any) -> bool:
    """As the suite itself asks: by the trace of calls, or by the environments."""
    by_trace = getattr(task, f"{kind}_from_traces")(said, before, after, trace)
    if by_trace is not None:
        return bool(by_trace)
    return bool(getattr(task, kind)(said, before, after))


def folded(text: str) -> str:
    """Without white space: suites read what was planted from YAML, which folds lines."""
    return "".join(text.replace("\\n", "").replace("\\t", "").split())


def base_of(package: str) -> str:
    """The package with AgentDojo's machinery: the top of `package` if it brings its own, else `agentdojo`."""
    top = package.partition(".")[0]
    try:
        importlib.import_module(f"{top}.functions_runtime")
    except ModuleNotFoundError:
        return "agentdojo"
    return top


def definition(tool: Any) -> dict[str, Any]:
    """One tool as a server would list it."""
    schema = tool.parameters.model_json_schema()
    schema.pop("title", None)
    schema.setdefault("properties", {})
    schema["type"] = "object"
    return {"name": tool.name, "description": tool.description, "inputSchema": schema}


def plain_call(call: Any) -> dict[str, Any]:
    """A call of a ground truth."""
    return {"tool": call.function, "arguments": as_plain(dict(call.args))}


def as_plain(value: Any) -> Any:
    """JSON as the framework's own models write it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def texts_in(value: Any) -> Iterator[str]:
    """Every text of a JSON value, names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def read_yaml_fast() -> None:
    """The same YAML by the C parser where it is there: an environment is read again for each case."""
    yaml: Any = importlib.import_module("yaml")
    if hasattr(yaml, "CSafeLoader"):
        yaml.safe_load = lambda text: yaml.load(text, yaml.CSafeLoader)


def main() -> None:
    """Answer until the input ends. What suites print goes to stderr."""
    package, version, name = sys.argv[1:4]
    sys.path[:0] = sys.argv[4:]
    read_yaml_fast()
    out = sys.stdout
    with redirect_stdout(sys.stderr or io.StringIO()):
        world: World | None = None
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                world = world or World(package, version, name)
                answer = {"ok": getattr(world, asked["do"])(asked)}
            except Exception as error:  # noqa: BLE001 -- the outermost edge: whoever asked is told
                where = traceback.format_exc(limit=-3)
                answer = {"failed": f"{type(error).__name__}: {error}", "where": where}
            out.write(json.dumps(answer) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
