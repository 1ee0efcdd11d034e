"""Reading a ward: its files as they are, and what they say.

    load_ward(path)   -> Ward, or one `WardError` (the first finding; its text counts the rest)
    check_ward(path)  -> every finding, in file and line order

Only `toolward.yaml`, `gates.yaml`, `tools/*.yaml`, `policies/*.cedar`, `objectives/*.yaml`,
`contracts/*.yaml`, `tests/*.yaml` and the source files of functions and modules are read. A link that leads
out of the ward, or anything that is not a plain file, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolward.config.convert import to_struct
from toolward.config.gating import to_gates
from toolward.config.manifest_checks import check_names_against
from toolward.config.meaning import metadata, timeout_ms, to_manifest
from toolward.config.objectives import ObjectiveFile, to_objective, unknown_tools
from toolward.config.reading import CONFIG_FILE, STATE_DIRECTORY, Reading, S, bindings_of, read_ward
from toolward.config.resilience import to_settings
from toolward.config.shape import ManifestFile, WardConfig
from toolward.config.testing import Tests
from toolward.config.undo_checks import check_undo_against, unkept_promises
from toolward.config.yamltext import Node, read_yaml
from toolward.errors import WardError
from toolward.model.contract import Contract
from toolward.model.gate import Gate
from toolward.model.objective import Objective
from toolward.model.resilience import ResilienceSettings
from toolward.model.server import ServerBinding
from toolward.model.tool import Channel, Manifest, Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """One deployment as its files describe it."""

    path: Path
    config: WardConfig
    bindings: tuple[ServerBinding, ...]
    manifests: Mapping[str, tuple[Manifest, Metadata]]  # "server/tool"
    policies: Mapping[str, str]  # relative path -> Cedar text
    objectives: Mapping[str, Objective]  # by name
    contracts: tuple[Contract, ...]  # what reading tools answered, and must go on answering
    gates: Mapping[Channel, Gate]
    tests: Tests
    files: Mapping[str, bytes]  # relative path -> content; what the revision digest is over
    resilience: ResilienceSettings

    @property
    def state(self) -> Path:
        """Where the ward's state lies."""
        return self.path / STATE_DIRECTORY


def load_ward(path: Path | str) -> Ward:
    """The ward at `path`. Raises `WardError` with the first finding; `check_ward` has all of them."""
    reading = read_ward(Path(path))
    if reading.findings or reading.config is None:
        raise _first(reading)
    config = reading.config
    return Ward(
        path=reading.path,
        config=config,
        bindings=bindings_of(config, reading),
        manifests={
            f"{file.server}/{tool}": (
                to_manifest(entry, file, ward=reading.path, timeout_ms=timeout_ms(config, file.server)),
                metadata(entry, file),
            )
            for file in reading.tools
            for tool, entry in file.tools.items()
        },
        policies={
            name: data.decode("utf-8") for name, data in reading.files.items() if name.endswith(".cedar")
        },
        objectives={file.name: to_objective(file) for file in reading.objectives},
        contracts=tuple(reading.contracts),
        gates=to_gates(reading.gates) if reading.gates else {},
        tests=reading.tests,
        files=dict(sorted(reading.files.items())),
        resilience=to_settings(
            config.resilience,
            (
                (file.server, file.resilience, {name: tool.resilience for name, tool in file.tools.items()})
                for file in reading.tools
            ),
        ),
    )


def check_ward(path: Path | str) -> list[WardError]:
    """Every finding in the ward's files; empty when `load_ward` would succeed."""
    reading = read_ward(Path(path))
    return sorted(reading.findings, key=lambda e: (e.file != CONFIG_FILE, e.file, e.line))


def undo_findings(ward: Ward, definitions: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[WardError]:
    """What the manifests say of undoing that does not fit `definitions`: server -> tool -> as listed."""
    found: list[WardError] = []
    for name, root, manifest in _files(ward, "tools/", ManifestFile):
        found += check_undo_against(manifest, root, definitions.get(manifest.server, {}), file=name)
    return found


def manifest_findings(
    ward: Ward, definitions: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[WardError]:
    """Warnings: names in manifests that their servers do not list; `definitions` as for `undo_findings`."""
    found: list[WardError] = []
    for name, root, manifest in _files(ward, "tools/", ManifestFile):
        found += check_names_against(manifest, root, definitions.get(manifest.server, {}), file=name)
    return found


def objective_findings(ward: Ward, tools: Mapping[str, str]) -> list[WardError]:
    """Warnings: what objectives name that is not there; `tools` gives the effect of each `server/tool`."""
    return [
        each
        for name, root, said in _files(ward, "objectives/", ObjectiveFile)
        for each in unknown_tools(said, root, tools, file=name)
    ]


def unkept_findings(ward: Ward) -> list[WardError]:
    """Warnings: what is called undoable without a word on how."""
    return [
        each
        for name, root, file in _files(ward, "tools/", ManifestFile)
        for each in unkept_promises(file, root, file=name)
    ]


def _files(ward: Ward, folder: str, kind: type[S]) -> Iterator[tuple[str, Node, S]]:
    """The files in a folder of a ward that was loaded, with their lines."""
    for name, data in ward.files.items():
        if not name.startswith(folder):
            continue
        root, _ = read_yaml(data, file=name)
        value, _ = to_struct(root, kind, file=name)
        if root is not None and value is not None:
            yield name, root, value


def names_of_files(path: Path) -> frozenset[str]:
    """What the ward's revision would be over, whether or not it can be understood."""
    return frozenset(read_ward(path).files)


def _first(reading: Reading) -> WardError:
    findings = sorted(reading.findings, key=lambda e: (e.file != CONFIG_FILE, e.file, e.line))
    first = findings[0]
    if len(findings) == 1:
        return first
    more = f"{len(findings) - 1} more; `toolward check` shows all"
    return WardError(
        first.reason.text,
        file=first.file,
        line=first.line,
        remedy=f"{first.reason.remedy} ({more})" if first.reason.remedy else more,
    )
