"""Arguments and results against the pinned JSON Schema. Never fetches anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs

from toolward.errors import BadArguments, WardError

ERRORS_MAX = 3
"""How many schema errors one message names; more do not help an agent to mend its call."""


def refuse_reference(uri: str) -> NoReturn:
    """The retriever of every validator: whatever a schema refers to outside itself is not fetched."""
    raise ValueError(f"the schema refers to `{uri}`; remote references are not followed")


@dataclass(frozen=True, slots=True)
class ArgumentSchema:
    """A compiled schema. `properties` maps the case-folded name of each declared property to its spelling."""

    _validator: Any
    properties: Mapping[str, str]
    required: tuple[str, ...]

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise `BadArguments` if `arguments` do not fit.

        A key that is a declared one in another case is refused too, even where the schema takes unknown
        keys: an upstream whose parser folds case would read it as the declared one.
        """
        for key in arguments:
            spelling = self.properties.get(key.casefold())
            if spelling is not None and spelling != key:
                raise BadArguments(
                    f"`{key}` is not the spelling of `{spelling}`", remedy=f"send `{spelling}`"
                )
        if self._validator.is_valid(arguments):
            return
        raise BadArguments(self._explain(arguments), remedy="mend the arguments to fit the tool's schema")

    def _explain(self, arguments: Mapping[str, Any]) -> str:
        parts: list[str] = []
        for error in self._validator.iter_errors(arguments):
            if len(parts) == ERRORS_MAX:
                parts.append("…")
                break
            place = "/" + "/".join(str(part) for part in error.instance_path)
            parts.append(f"at `{place}`: {_shorten(str(error.message))}")
        return "the arguments do not fit the schema: " + ", ".join(parts)


def compile_schema(schema: Any, *, where: str) -> ArgumentSchema:
    """Compile an `inputSchema`. Raises `WardError` for one that is not valid or refers to anything remote."""
    try:
        validator = jsonschema_rs.validator_for(schema, retriever=refuse_reference)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise WardError(
            f"the input schema of {where} can not be used: {_shorten(str(error))}",
            remedy="the server's author has to mend the schema; the tool stays unapproved until then",
        ) from error
    declared = schema.get("properties") if isinstance(schema, Mapping) else None
    names = declared if isinstance(declared, Mapping) else {}
    required = schema.get("required") if isinstance(schema, Mapping) else None
    return ArgumentSchema(
        validator,
        {str(name).casefold(): str(name) for name in names},
        tuple(str(name) for name in required) if isinstance(required, list) else (),
    )


def _shorten(text: str, characters_max: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"
