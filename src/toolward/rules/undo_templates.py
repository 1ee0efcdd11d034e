"""What a declaration of undo stands for in one call: paths, resources, other tools' arguments. Text only."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolward.errors import Denied, ReasonCode
from toolward.model.capability import Capabilities, PathAccess
from toolward.model.server import ServerBinding
from toolward.model.tool import Manifest
from toolward.model.undo import ToolUse, Undo

_PATH: Final = re.compile(r"\{(arg|dir|env|option):([^{}:]+)\}([^{}]*)")
_ROOTS: Final = "{roots}"
_NAMED: Final = re.compile(r"\{arg:([^{}:]+)\}")
KEY: Final = "/key"


class NotRecorded(Exception):
    """A pointer leads to nothing that was recorded; the text is the pointer."""


def is_path_template(text: str) -> bool:
    """Whether it is one that `paths_of` understands."""
    return text == _ROOTS or bool(_PATH.fullmatch(text)) or (text.startswith("/") and "{" not in text)


def named_argument(template: str) -> str:
    """The argument that a path template names, or ''."""
    found = _PATH.fullmatch(template)
    return found[2] if found and found[1] in ("arg", "dir") else ""


def setting_of(template: str) -> tuple[str, str]:
    """What of the server's own settings a path template names: (env | option | roots, name), or ('', '')."""
    if template == _ROOTS:
        return "roots", ""
    found = _PATH.fullmatch(template)
    return (found[1], found[2]) if found and found[1] in ("env", "option") else ("", "")


def named_arguments(template: str) -> list[str]:
    """The arguments that a resource template names."""
    return _NAMED.findall(template)


def writable_roots(binding: ServerBinding | None, manifest: Manifest) -> tuple[str, ...]:
    """The directories in which a tool may write: only there a before-image is put back."""
    capabilities = [manifest.capabilities or Capabilities()]
    roots: tuple[str, ...] = ()
    if binding is not None:
        capabilities.append(binding.capabilities or Capabilities())
        roots = binding.roots
    declared = [
        path.root or path.template
        for each in capabilities
        for path in each.paths
        if path.access is PathAccess.WRITE
    ]
    return tuple(dict.fromkeys([*roots, *(path for path in declared if path.startswith("/"))]))


def paths_of(
    templates: Sequence[str],
    arguments: Mapping[str, Any],
    binding: ServerBinding | None,
    roots: Sequence[str],
) -> tuple[str, ...]:
    """The absolute paths that the templates stand for. Raises `Denied` for one that stands for none.

    `{arg:NAME}` is the path in an argument (a list gives each), `{dir:NAME}` the directory it lies in,
    `{env:NAME}` a variable of the server, `{option:--NAME}` what follows that option on its command line;
    text after the brace is appended. `{roots}` is every declared root.
    """
    found: list[str] = []
    for template in templates:
        if template == _ROOTS:
            found += roots
            continue
        match = _PATH.fullmatch(template)
        if match is None:
            found.append(_plain(template, template, ""))
            continue
        kind, name, ending = match.groups()
        base = binding.cwd if binding is not None and kind in ("env", "option") else ""
        for text in _texts(kind, name, arguments, binding):
            path = _plain(text, template, base)
            found.append(_plain((posixpath.dirname(path) if kind == "dir" else path) + ending, template, ""))
    return tuple(dict.fromkeys(found))


def can_be_kept(undo: Undo, binding: ServerBinding, manifest: Manifest) -> bool:
    """Whether a before-image of paths could be taken of this server, as far as its settings tell."""
    templates = undo.snapshot.paths if undo.snapshot is not None else ()
    roots = writable_roots(binding, manifest)
    try:
        fixed = paths_of([each for each in templates if not named_argument(each)], {}, binding, roots)
    except Denied:
        return False
    inside = all(any(path == r or path.startswith(r.rstrip("/") + "/") for r in roots) for path in fixed)
    return inside and bool(roots or not templates)


def _texts(
    kind: str, name: str, arguments: Mapping[str, Any], binding: ServerBinding | None
) -> Sequence[object]:
    if kind in ("arg", "dir"):
        value = arguments.get(name)
        return value if isinstance(value, list) and value else [value]
    if binding is None:
        return [None]
    if kind == "env":
        return [binding.env.get(name)]
    line = (*binding.command, *binding.arguments)
    for place, item in enumerate(line):
        if item == name and place + 1 < len(line):
            return [line[place + 1]]
        if item.startswith(name + "="):
            return [item[len(name) + 1 :]]
    return [None]


def _plain(text: object, template: str, base: str) -> str:
    if not isinstance(text, str) or not text or "\x00" in text or "${" in text:
        raise _no_path(template, "does not stand for a path here")
    whole = posixpath.join(base, text) if base else text
    if not whole.startswith("/"):
        raise _no_path(template, f"is `{text[:200]}`, which is not an absolute path")
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _no_path(template, f"is `{text[:200]}`, which holds `..`")
    return "/" + "/".join(parts)


def _no_path(template: str, why: str) -> Denied:
    return Denied(
        f"the before-image that the manifest promises can not be taken: `{template}` {why}",
        code=ReasonCode.NOT_UNDOABLE,
        remedy="send an absolute path inside the server's roots; for a variable or an option, the operator "
        "has to give it in toolward.yaml",
    )


def arguments_of(use: ToolUse, data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a tool from recorded data; `data` has input, output, snapshot and key.

    Raises `NotRecorded`.
    """
    return {name: _value(said, data) for name, said in use.arguments.items()}


def is_literal(said: Any) -> bool:
    """Whether an argument is written out instead of pointed to."""
    return isinstance(said, Mapping) and set(said) == {"value"}


def uses_key(use: ToolUse) -> bool:
    """Whether the tool is told the step's key, so that a second try is the same effect."""
    return any(said == KEY for said in use.arguments.values())


def _value(said: Any, data: Mapping[str, Any]) -> Any:
    if is_literal(said):
        return said["value"]
    value: Any = data
    for step in str(said).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise NotRecorded(str(said))
    return value
