"""What is wrong with what a manifest says of undoing, before there is a call: with file, line and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from toolward.config.capabilities import absolute
from toolward.config.convert import suggest
from toolward.config.finder import Finder
from toolward.config.manifest_checks import arguments_of, did_you_mean
from toolward.config.shape import EffectSource, ManifestFile, ServerConfig, ToolEntry, WardConfig
from toolward.config.undoing import SnapshotConfig, UndoConfig
from toolward.config.yamltext import Node
from toolward.errors import WardError
from toolward.model.tool import Effect
from toolward.rules.undo_templates import (
    KEY,
    is_literal,
    is_path_template,
    named_argument,
    named_arguments,
    setting_of,
)

Place = tuple[str | int, ...]
Use = tuple[Place, str, Mapping[str, Any], frozenset[str], bool]
"""Where it stands, the tool, its arguments, what they may point to, and whether it must only read."""
_INPUT: Final = frozenset({"/input"})
_AFTER: Final = frozenset({"/input", "/output", "/snapshot"})
_UNDO: Final = frozenset({*_AFTER, KEY})
_PROMISED: Final = (Effect.REVERSIBLE, Effect.COMPENSABLE)


def check_manifest_undo(
    manifest: ManifestFile, config: WardConfig | None, finder: Finder, *, ward: Path
) -> None:
    """All findings in the `undo` of a file's tools."""
    server = config.servers.get(manifest.server) if config is not None else None
    for tool, entry in manifest.tools.items():
        if entry.undo is None:
            continue
        here: Place = ("tools", tool, "undo")
        _check_shape(entry.undo, here, finder)
        if entry.undo.snapshot is not None:
            _check_paths(entry.undo.snapshot, (*here, "snapshot"), finder, server=server, ward=ward)
        for use in _uses(entry.undo, here):
            _check_use(use, manifest, finder, said_by_tool=bool(_said(entry.undo)))


def _said(undo: UndoConfig) -> str:
    return undo.snapshot.tool if undo.snapshot is not None else ""


def _check_shape(undo: UndoConfig, here: Place, finder: Finder) -> None:
    snapshot, compensate = undo.snapshot, undo.compensate
    if snapshot is not None and not snapshot.tool and not snapshot.paths:
        finder.say(
            (*here, "snapshot"), "a before-image of nothing", "give `paths`, or the `tool` that tells it"
        )
    if compensate is None:
        return
    place = (*here, "compensate")
    if compensate.restore and compensate.tool:
        finder.say(place, "both `tool` and `restore`", "keep the one way that undoes it")
    elif not compensate.restore and not compensate.tool:
        finder.say(place, "says not how", "give a `tool`, or `restore: true` with `snapshot.paths`")
    if compensate.restore and (snapshot is None or not snapshot.paths):
        finder.say(
            (*place, "restore"),
            "`restore` puts the snapshot's paths back, and there are none",
            "name them under `snapshot.paths`",
        )


def _check_paths(
    snapshot: SnapshotConfig, here: Place, finder: Finder, *, server: ServerConfig | None, ward: Path
) -> None:
    roots = [absolute(root, ward) for root in server.roots] if server is not None else []
    said = [("paths", index, template) for index, template in enumerate(snapshot.paths)]
    said += [("volatile", index, template) for index, template in enumerate(snapshot.volatile)]
    for key, index, template in said:
        place = (*here, key, index)
        if not is_path_template(template):
            finder.say(
                place,
                f"`{template}` is no path",
                "write an absolute path, `{arg:NAME}`, `{dir:NAME}`, `{env:NAME}`, `{option:--NAME}` or "
                "`{roots}`",
            )
        elif server is not None and (missing := _missing(template, server)):
            finder.say(place, f"`{template}` stands for nothing here: {missing}", "give it in toolward.yaml")
        elif roots and template.startswith("/") and not _inside(template, roots):
            finder.say(
                place,
                f"`{template}` lies outside the server's roots, so it could not be put back",
                "name a path inside them, or declare its directory under `roots`",
            )


def _missing(template: str, server: ServerConfig) -> str:
    kind, name = setting_of(template)
    if kind == "env" and name not in server.env:
        return f"the server has no variable `{name}`"
    if kind == "option" and not any(a == name or a.startswith(name + "=") for a in server.arguments):
        return f"the server is started without `{name}`"
    if kind == "roots" and not server.roots:
        return "the server has no roots"
    return ""


def _inside(path: str, roots: list[str]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


def _uses(undo: UndoConfig, here: Place) -> Iterator[Use]:
    """Every tool that undoing would call."""
    snapshot, compensate = undo.snapshot, undo.compensate
    if snapshot is not None and snapshot.tool:
        yield (*here, "snapshot"), snapshot.tool, snapshot.arguments, _INPUT, True
    for name, use, may in (
        ("probe", undo.probe, _INPUT),  # it is asked where the answer was lost
        ("verify", undo.verify, _AFTER),
        ("preview", undo.preview, _INPUT),
    ):
        if use is not None:
            yield (*here, name), use.tool, use.arguments, may, True
    if compensate is None:
        return
    if compensate.tool:
        yield (*here, "compensate"), compensate.tool, compensate.arguments, _UNDO, False
    for name, use, may, reads in (
        ("precondition", compensate.precondition, _AFTER - {"/snapshot"}, True),
        ("otherwise", compensate.otherwise, _UNDO, False),
    ):
        if use is not None:
            yield (*here, "compensate", name), use.tool, use.arguments, may, reads


def _check_use(use: Use, manifest: ManifestFile, finder: Finder, *, said_by_tool: bool) -> None:
    here, tool, arguments, may, reads = use
    entry = manifest.tools.get(tool)
    if entry is None:
        near = suggest(tool, manifest.tools)
        finder.say(
            (*here, "tool"),
            f"no tool `{tool}` is described in this file",
            f"did you mean `{near}`?" if near else "describe it here, so that what it does is known",
        )
    elif reads and entry.effect is not Effect.READ_ONLY:
        finder.say(
            (*here, "tool"), f"`{tool}` is `{entry.effect}`, and here only a reading tool will do", "use one"
        )
    for name, said in arguments.items():
        _check_pointer((*here, "arguments", name), said, may, finder, said_by_tool=said_by_tool)


def _check_pointer(
    place: Place, said: Any, may: frozenset[str], finder: Finder, *, said_by_tool: bool
) -> None:
    known = ", ".join(f"`{each}`" for each in sorted(may))
    if is_literal(said):
        return
    if not isinstance(said, str) or not said.startswith("/"):
        finder.say(
            place, f"`{said}` is no pointer", f"point into {known}, or write `{{value: …}}` for a literal"
        )
        return
    head = "/" + said.split("/")[1]
    if head not in may or (head == KEY) != (said == KEY):
        finder.say(place, f"`{said}` is not recorded where this is asked", f"point into {known}")
    elif head == "/snapshot" and not said_by_tool:
        finder.say(
            place,
            f"`{said}` points into what a tool said before the call, and none is asked",
            "declare `snapshot.tool`",
        )


# --- against what the servers really list ---------------------------------------------------------------


def check_undo_against(
    manifest: ManifestFile, root: Node, definitions: Mapping[str, Mapping[str, Any]], *, file: str
) -> list[WardError]:
    """Arguments that are named and not there. `definitions` are the server's, by tool."""
    finder = Finder(root, file)
    for tool, entry in manifest.tools.items():
        if entry.undo is None or tool not in definitions:
            continue
        here: Place = ("tools", tool, "undo")
        _check_names(tool, entry, here, definitions, finder)
        for place, other, arguments, _, _ in _uses(entry.undo, here):
            known = arguments_of(definitions.get(other))
            for name in arguments if known is not None else ():
                if name not in (known or ()):
                    finder.say(
                        (*place, "arguments", name),
                        f"`{other}` has no argument `{name}`",
                        did_you_mean(name, known or ()),
                    )
            given = _required(definitions.get(other))
            for name in sorted(given - set(arguments)):
                finder.say(place, f"`{other}` needs the argument `{name}`", "give it under `arguments`")
    return finder.found


def _check_names(
    tool: str, entry: ToolEntry, here: Place, definitions: Mapping[str, Mapping[str, Any]], finder: Finder
) -> None:
    known = arguments_of(definitions[tool])
    if entry.undo is None or known is None:
        return
    named: list[tuple[Place, str]] = []
    if entry.undo.snapshot is not None:
        paths = entry.undo.snapshot.paths
        named += [((*here, "snapshot", "paths", i), named_argument(path)) for i, path in enumerate(paths)]
    for index, resource in enumerate(entry.undo.resources):
        named += [((*here, "resources", index), name) for name in named_arguments(resource)]
    for place, _, arguments, _, _ in _uses(entry.undo, here):
        for name, said in arguments.items():
            if isinstance(said, str) and said.startswith("/input/"):
                named.append(((*place, "arguments", name), said.split("/")[2]))
    for place, name in named:
        if name and name not in known:
            finder.say(place, f"`{tool}` has no argument `{name}`", did_you_mean(name, known or ()))


def _required(definition: Mapping[str, Any] | None) -> set[str]:
    schema = definition.get("inputSchema") if definition is not None else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    return {str(name) for name in required} if isinstance(required, list) else set()


def unkept_promises(manifest: ManifestFile, root: Node, *, file: str) -> list[WardError]:
    """Warnings: effects that a person declared undoable without saying how."""
    finder = Finder(root, file)
    for tool, entry in manifest.tools.items():
        told = entry.undo is not None and entry.undo.compensate is not None
        if entry.effect in _PROMISED and entry.source is EffectSource.MANIFEST and not told:
            finder.say(
                ("tools", tool, "effect"),
                f"`{tool}` is called `{entry.effect}` and nothing says how it is undone: policy takes the "
                "word, and a rollback names what it did as a residual",
                "declare `undo.compensate`, or call it `irreversible`",
            )
    return finder.found
