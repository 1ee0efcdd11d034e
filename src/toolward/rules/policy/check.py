"""The pure part of `toolward check`: everything that is wrong with a ward's policies, with file and line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cedarpy
from cedarpy import pst

from toolward.errors import WardError
from toolward.rules.policy import names
from toolward.rules.policy.argument_types import Record
from toolward.rules.policy.cedar_schema import Vocabulary
from toolward.rules.policy.conditions import Known, applies, uid_of
from toolward.rules.policy.policy_text import Policy, read_policies
from toolward.rules.policy.validation_schema import validation_schema


class Severity(StrEnum):
    """An error stops the ward from starting or reloading; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `line` is 1-based, 0 if the whole file is meant."""

    file: str
    line: int
    text: str
    remedy: str = ""
    severity: Severity = Severity.ERROR


def check_policies(files: Mapping[str, str], vocabulary: Vocabulary) -> list[Finding]:
    """All findings about `files` (name -> Cedar text), in the order of files and lines."""
    policies, findings = read_files(files)
    findings += validate(policies, vocabulary)
    order = {name: i for i, name in enumerate(files)}
    return sorted(findings, key=lambda f: (order.get(f.file, 0), f.line))


def read_files(files: Mapping[str, str]) -> tuple[list[Policy], list[Finding]]:
    """The policies that can be read, and what is wrong with the others; ids are unique in the result."""
    policies: dict[str, Policy] = {}
    findings = []
    for file, text in files.items():
        for found in read_policies(file, text):
            if isinstance(found, WardError):
                remedy = found.reason.remedy
                findings.append(Finding(file=file, line=found.line, text=found.reason.text, remedy=remedy))
                continue
            if (first := policies.get(found.policy_id)) is not None:
                findings.append(
                    Finding(
                        file=file,
                        line=found.line,
                        text=f"policy id `{found.policy_id}` is taken by {first.file}:{first.line}",
                        remedy="give each policy its own `@id`",
                    )
                )
                continue
            policies[found.policy_id] = found
    return list(policies.values()), findings


def validate(policies: Sequence[Policy], vocabulary: Vocabulary) -> list[Finding]:
    """Types against the ward's schema, and policies that can never apply."""
    findings = list(_type_errors(policies, vocabulary))
    broken = {(f.file, f.line) for f in findings}
    sound = [p for p in policies if (p.file, p.line) not in broken]
    findings += [_useless(p, why) for p in sound if (why := _never(p, vocabulary))]
    return findings


def _useless(policy: Policy, why: str) -> Finding:
    return Finding(
        file=policy.file,
        line=policy.line,
        text=f"policy `{policy.policy_id}` never applies: {why}",
        remedy="mend or remove it",
        severity=Severity.WARNING,
    )


_POLICY_NUMBER: Final = re.compile(r"policy(\d+)")
_PREFIX: Final = re.compile(r"^for policy `policy\d+`, ")
_QUOTED: Final = re.compile(r"`([^`]+)`")


def _type_errors(policies: Sequence[Policy], vocabulary: Vocabulary) -> Iterator[Finding]:
    # The engine numbers policies by their place in the text, so that place is how an error finds its policy.
    text = "\n".join(p.text for p in policies)
    result = cedarpy.validate_policies(text, validation_schema(policies, vocabulary), release_gil=True)
    seen = set()
    nameless = {e.policy_id for e in result.errors if "unrecognized action" in e.error}
    for error in result.errors:
        if error.policy_id in nameless and "unable to find an applicable action" in error.error:
            continue  # it follows from the unknown name
        number = _POLICY_NUMBER.fullmatch(error.policy_id)
        words = _PREFIX.sub("", error.error)
        if number is None:
            yield Finding(file="", line=0, text=f"policies do not validate: {words}")
            continue
        policy = policies[int(number[1])]
        if (policy.policy_id, words) in seen:
            continue
        seen.add((policy.policy_id, words))
        if "unable to find an applicable action" in words:
            yield from _empty_scope(policy, vocabulary)
            continue
        yield Finding(
            file=policy.file,
            line=_line_of(policy, words),
            text=f"policy `{policy.policy_id}`: {words}",
            remedy=_remedy(words, vocabulary),
        )


def _empty_scope(policy: Policy, vocabulary: Vocabulary) -> Iterator[Finding]:
    """A scope of known names that nothing can match: a mistake, or a group that has no tool yet."""
    scope = policy.tree
    wanted = _action_ids(scope.action)
    groups = {*names.ALL_GROUPS, *map(names.server_group, vocabulary.servers)}
    shapes = [*vocabulary.tools.values(), *vocabulary.mcp.values()]
    if isinstance(scope.action, pst.ActionEq) and wanted <= groups:
        why, remedy = "an action is never `==` a group", "write `action in`"
    elif (kind := _type_of(scope.principal)) not in ("", names.USER):
        why, remedy = (
            f"a principal is never a {kind}",
            f"principals are {names.USER}; the agent is context.agent",
        )
    elif (kind := _type_of(scope.resource)) not in ("", names.TOOL, names.SERVER):
        why, remedy = f"a resource is never a {kind}", f"resources are {names.TOOL} and {names.SERVER}"
    elif wanted and not any(wanted & {s.action_id, *s.groups} for s in shapes):
        return  # it waits for a tool of that group, as all rules of a new ward do
    else:
        yield _useless(policy, "no action takes this kind of resource")
        return
    text = f"policy `{policy.policy_id}` never applies: {why}"
    yield Finding(file=policy.file, line=policy.line, text=text, remedy=remedy)


def _action_ids(constraint: pst.ActionConstraint) -> set[str]:
    if isinstance(constraint, pst.ActionEq):
        return {constraint.entity.id}
    return {x.id for x in constraint.entities} if isinstance(constraint, pst.ActionIn) else set()


def _type_of(constraint: pst.PrincipalOrResourceConstraint) -> str:
    """The entity type that a scope asks for; "" if it asks for none, or for whatever lies in something."""
    if isinstance(constraint, pst.ScopeIs | pst.ScopeIsIn):
        return str(constraint.entity_type)
    if isinstance(constraint, pst.ScopeEq) and isinstance(constraint.entity, pst.EntityUid):
        return uid_of(constraint.entity).type
    return ""


def _line_of(policy: Policy, words: str) -> int:
    """The line of the policy on which the first thing stands that the error quotes."""
    for quoted in _QUOTED.findall(words):
        name = quoted.rpartition(".")[2].strip('"')
        for offset, line in enumerate(policy.text.splitlines()):
            if quoted in line or (name and re.search(rf"\b{re.escape(name)}\b", line)):
                return policy.line + offset
    return policy.line


def _remedy(words: str, vocabulary: Vocabulary) -> str:
    quoted = [*_QUOTED.findall(words), ""]
    if words.startswith("unrecognized action"):
        ids = [*vocabulary.tool_keys, *names.ALL_GROUPS, *map(names.server_group, vocabulary.servers)]
        ids += [s.action_id for s in vocabulary.mcp.values()]
        close = difflib.get_close_matches(_id_in(quoted[0]), ids, n=1)
        tip = f"did you mean `{names.ACTION}::{names.quote(close[0])}`? " if close else ""
        return (
            f"{tip}tools are `<server>/<tool>`, groups `server:<server>`, `effect:<effect>`, `call`, `writes`"
        )
    if "optional attribute" in words:
        parent, _, name = quoted[0].rpartition(".")
        return f"ask first: `{'context.' if parent else 'context'}{parent} has {name} && …`"
    if "not found" in words and "attribute" in words:
        return _attribute_remedy(quoted[0], _id_in(words), vocabulary)
    return "see `toolward check --schema` for the types"


def _id_in(words: str) -> str:
    """The first id in double quotes."""
    return words.partition('"')[2].partition('"')[0]


def _attribute_remedy(path: str, action_id: str, vocabulary: Vocabulary) -> str:
    """Why an attribute is not there: the schema reader left it out, or it is called otherwise."""
    shapes = [*vocabulary.tools.values(), *vocabulary.mcp.values()]
    shape = next((s for s in shapes if s.action_id == action_id), None)
    if shape is None:
        return "see `toolward check --schema` for the attributes there are"
    pointer = "/" + "/".join(path.split(".")[1:])
    for left_out, why in shape.left_out:
        if left_out in (pointer, ""):
            return f"`{path}` of {action_id} can't be used in policies: {why}"
    close = difflib.get_close_matches(path, list(_paths(shape.context)), n=1)
    return f"did you mean `context.{close[0]}`?" if close else f"{action_id} has no such argument"


def _paths(record: Record, before: str = "") -> Iterator[str]:
    for member in record.members:
        yield before + member.name
        if isinstance(member.type, Record):
            yield from _paths(member.type, f"{before}{member.name}.")


def _never(policy: Policy, vocabulary: Vocabulary) -> str:
    resource = policy.tree.resource
    if isinstance(resource, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn):
        entity = resource.entity
        if isinstance(entity, pst.EntityUid):
            kind, name = uid_of(entity)
            if kind == names.TOOL and name not in vocabulary.tool_keys:
                return f"there is no tool `{name}`"
            if kind == names.SERVER and name not in vocabulary.servers:
                return f"there is no server `{name}`"
    if applies(policy.tree, Known()) is False:
        return "its conditions can't all hold"
    return ""
