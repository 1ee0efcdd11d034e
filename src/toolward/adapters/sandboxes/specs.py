"""What a worker is told: the cage, and the one job."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from toolward.model.capability import PathAccess, Scope
from toolward.ports.sandbox import CommandJob, PythonJob, PythonSource

PROXY_PORT: Final = 3128
"""Where the proxy is found in a network namespace of its own."""


def arm_spec(scope: Scope, *, address_space: bool, port: int, others: int = 0) -> dict[str, Any]:
    """The cage. The descriptors of `scope.paths` go with it, in order; `port` is the proxy's, or 0.

    `address_space` limits memory as address space, which is exact and which some runtimes can not bear.
    `others` are processes and threads that count towards the limit of the cage's user and are not the cage's.
    """
    limits = asdict(scope.limits)
    if limits["processes"] >= 0:
        limits["processes"] += others
    return {
        "paths": [[grant.path, grant.access is PathAccess.WRITE] for grant in scope.paths],
        "hidden": [place for place, grant in enumerate(scope.paths) if grant.access is PathAccess.HIDE],
        "limits": limits,
        "address_space": address_space,
        "port": port,
    }


def environment_of(job: PythonJob | CommandJob, scope: Scope, port: int) -> dict[str, str]:
    """The whole environment, with the way to the proxy where destinations are granted."""
    told = {**dict(scope.environment), **job.environment}
    if port:
        proxy = f"http://127.0.0.1:{port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        told |= dict.fromkeys((*names, *(name.lower() for name in names)), proxy)
        told |= dict.fromkeys(("NO_PROXY", "no_proxy"), "")
    return told


def python_job(job: PythonJob, environment: dict[str, str]) -> dict[str, Any]:
    """A function call."""
    target = job.target
    told: dict[str, Any] = {
        "kind": "python",
        "function": target.function,
        "arguments": dict(job.arguments),
        "environment": environment,
    }
    if isinstance(target, PythonSource):
        return {**told, "module": "", "text": target.text, "filename": target.filename, "search_paths": []}
    return {**told, "module": target.module, "search_paths": list(target.search_paths)}


def command_job(job: CommandJob, environment: dict[str, str]) -> dict[str, Any]:
    """A program. Its three pipe ends go with it."""
    return {
        "kind": "command",
        "argv": list(job.argv),
        "cwd": job.cwd,
        "environment": environment,
    }
