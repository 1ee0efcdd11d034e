"""A Python function in another environment's interpreter: the job on stdin, the answer on stdout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from toolward.model.capability import PathAccess, PathGrant, Scope
from toolward.ports.sandbox import CommandJob, Ended, Exited, PythonJob, PythonSource, Raised, Value

_RUNNER: Final = """
import json, os, sys
job = json.loads(sys.stdin.buffer.read())
answer = os.dup(1)
os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
doors = json.loads(os.environ.pop("TOOLWARD_DOORS", "{}"))
def there(path):
    known = max((d for d in doors if path == d or path.startswith(d + "/")), key=len, default="")
    return doors[known] + path[len(known):] if known else path
if doors:  # its interpreter was found by descriptor, and so does not know which environment it belongs to
    import glob, site
    for found in glob.glob(there(job["environment"]) + "/lib/python*/site-packages"):
        site.addsitedir(found)
sys.path[:0] = [there(path) for path in job["search_paths"]]
try:
    if job["module"]:
        import importlib
        found = importlib.import_module(job["module"])
        for part in job["function"].split("."):
            found = getattr(found, part)
    else:
        space = {"__name__": "tool", "__file__": job["filename"]}
        exec(compile(job["text"], job["filename"], "exec"), space)
        found = space[job["function"]]
    out = json.dumps({"value": found(**job["arguments"])}, allow_nan=False)
except BaseException as error:
    out = json.dumps({"raised": [type(error).__name__, str(error)[:4096]]})
with os.fdopen(answer, "wb") as file:
    file.write(out.encode())
"""


def in_other_interpreter(job: PythonJob, scope: Scope, *, known: Sequence[str]) -> tuple[CommandJob, Scope]:
    """The program, and its scope: the environment and what its interpreter is linked to, for reading."""
    target = job.target
    source = isinstance(target, PythonSource)
    told: dict[str, Any] = {
        "function": target.function,
        "arguments": dict(job.arguments),
        "module": "" if isinstance(target, PythonSource) else target.module,
        "text": target.text if isinstance(target, PythonSource) else "",
        "filename": target.filename if isinstance(target, PythonSource) else "",
        "search_paths": [] if source else list(getattr(target, "search_paths", ())),
    }
    environment = os.path.dirname(os.path.dirname(job.interpreter))
    told["environment"] = environment
    base = os.path.dirname(os.path.dirname(os.path.realpath(job.interpreter)))
    granted = {grant.path for grant in scope.paths}
    wanted = {environment, base, *told["search_paths"]} - granted
    more = [PathGrant(p, PathAccess.READ, p) for p in wanted if not _within(p, known)]
    command = CommandJob(
        argv=(job.interpreter, "-I", "-c", _RUNNER), stdin=orjson.dumps(told), environment=job.environment
    )
    return command, replace(scope, paths=tuple(sorted((*scope.paths, *more))))


def _within(path: str, known: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each + "/") for each in known)


def read_answer(ended: Ended) -> Ended:
    """The function's own end, out of the program's; all of it is untrusted."""
    if not isinstance(ended, Exited):
        return ended
    try:
        answer = orjson.loads(ended.stdout)
    except ValueError:
        answer = None
    match answer:
        case {"value": value}:
            return Value(value=value, ran=ended.ran)
        case {"raised": [str(kind), str(text)]}:
            return Raised(kind=kind, text=text, ran=ended.ran)
        case _:
            tail = ended.stderr[-2_000:].decode("utf-8", "replace")
            return Raised(kind="NoAnswer", text=f"exit status {ended.status}: {tail}", ran=ended.ran)
