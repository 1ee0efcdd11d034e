"""JSON Schemas of the ward's files, generated from their Structs.

    python -m toolward.config.schema DIRECTORY

writes the schema of each kind of file; a ward has its own copies, so that editors complete
offline.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from toolward.config.contracting import ContractFile
from toolward.config.gating import GatesFile
from toolward.config.objectives import ObjectiveFile
from toolward.config.shape import ManifestFile, WardConfig
from toolward.config.testing import TestsFile

CONFIG_SCHEMA: Final = "toolward.schema.json"
MANIFEST_SCHEMA: Final = "manifest.schema.json"
OBJECTIVE_SCHEMA: Final = "objective.schema.json"
CONTRACT_SCHEMA: Final = "contract.schema.json"
GATES_SCHEMA: Final = "gates.schema.json"
TESTS_SCHEMA: Final = "tests.schema.json"


def schemas() -> Mapping[str, bytes]:
    """File name -> JSON Schema (draft 2020-12), the same bytes every time."""
    return {
        CONFIG_SCHEMA: _schema(WardConfig, "toolward.yaml: one deployment of toolward"),
        MANIFEST_SCHEMA: _schema(ManifestFile, "tools/<server>.yaml: what a server's tools do"),
        OBJECTIVE_SCHEMA: _schema(ObjectiveFile, "objectives/<name>.yaml: a declared goal and its steps"),
        CONTRACT_SCHEMA: _schema(
            ContractFile, "contracts/<server>.yaml: what a server's reading tools answer"
        ),
        GATES_SCHEMA: _schema(GatesFile, "gates.yaml: what a version must show to enter a channel"),
        TESTS_SCHEMA: _schema(TestsFile, "tests/<name>.yaml: what policies say and what tools answer"),
    }


def _schema(kind: type[msgspec.Struct], title: str) -> bytes:
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    out: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **root,
        "$defs": components,
    }
    return (json.dumps(out, indent=2, ensure_ascii=False) + "\n").encode()


def main() -> None:
    """Write the schemas into the directory that the first argument names."""
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "schema")
    where.mkdir(parents=True, exist_ok=True)
    for name, body in schemas().items():
        (where / name).write_bytes(body)


if __name__ == "__main__":
    main()
