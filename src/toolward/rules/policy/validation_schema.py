"""The schema that a ward's policies are validated against: of tools that are alike, one stands for all.

The engine checks every policy against every action that its scope covers, so ten thousand tools would be
checked ten thousand times. Two actions in the same groups whose arguments have the same types *where policies
look* can not be told apart by any of them; only a policy that names one of them can. So those that are named
stand for themselves, and of each kind of the others one stands.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

import cedarpy

from toolward.rules.policy.argument_types import Record
from toolward.rules.policy.cedar_request import Path, prune
from toolward.rules.policy.cedar_schema import Shape, Vocabulary, schema_text
from toolward.rules.policy.conditions import mentions
from toolward.rules.policy.names import BY_TOOL
from toolward.rules.policy.policy_text import Policy

_LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


def validation_schema(policies: Sequence[Policy], vocabulary: Vocabulary) -> cedarpy.Schema:
    """The schema by which the engine finds in `policies` what it would find by the whole vocabulary."""
    kept = _kept(policies, list(vocabulary.actions.values()))
    return cedarpy.Schema.from_str(schema_text([*kept, *vocabulary.mcp.values()], vocabulary.servers))


def _kept(policies: Sequence[Policy], shapes: list[Shape]) -> list[Shape]:
    literals = {found for policy in policies for found in _LITERAL.findall(policy.text)}
    if any("\\" in literal for literal in literals):
        return shapes  # an id may be written with escapes: nothing is taken to be unnamed
    looked = [path for policy in policies for path in mentions(policy.tree) if not path or path[0] in BY_TOOL]
    kept: list[Shape] = []
    kinds: set[Hashable] = set()
    for shape in shapes:
        kind = (shape.groups, _looked_at(shape, looked))
        if shape.action_id in literals or kind not in kinds:
            kept.append(shape)
            kinds.add(kind)
    return kept


def _looked_at(shape: Shape, paths: Iterable[Path]) -> Record:
    """The types of the arguments as far as policies look."""
    arguments = Record(tuple(member for member in shape.context.members if member.name in BY_TOOL))
    return prune(arguments, paths)
