"""The files of a ward as they are read: each once, bounded, with file and line for whatever is wrong."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from toolward.config import contracting
from toolward.config.capabilities import to_capabilities
from toolward.config.checks import check_config, check_manifest
from toolward.config.contracting import ContractFile, check_contracts, to_contracts
from toolward.config.convert import to_struct
from toolward.config.gating import GATES_FILE, GatesFile, check_gates
from toolward.config.meaning import binding
from toolward.config.objectives import ObjectiveFile, check_objective
from toolward.config.per_call import (
    MODULE_BYTES_MAX,
    check_module,
    check_source,
    source_place,
)
from toolward.config.shape import ManifestFile, WardConfig
from toolward.config.testing import Tests, read_tests
from toolward.config.variants import every_server, twins
from toolward.config.yamltext import FILE_BYTES_MAX, Node, read_yaml
from toolward.errors import WardError
from toolward.model.capability import Capabilities
from toolward.model.contract import Contract
from toolward.model.server import VARIANT, ServerBinding, server_of

CONFIG_FILE: Final = "toolward.yaml"
STATE_DIRECTORY: Final = ".toolward"
"""State, secrets and schema copies; never part of the revision, never checked in."""
FILES_MAX: Final = 2_000
"""Files of one ward; each server has one manifest."""
S = TypeVar("S", WardConfig, ManifestFile, ContractFile, GatesFile, ObjectiveFile)
_FOLDERS: Final = (
    ("tools", ".yaml"),
    ("policies", ".cedar"),
    ("objectives", ".yaml"),
    (contracting.FOLDER, ".yaml"),
    ("tests", ".yaml"),
)


@dataclass(slots=True)
class Reading:
    """What has been read so far, and every finding."""

    path: Path
    files: dict[str, bytes] = field(default_factory=dict)
    findings: list[WardError] = field(default_factory=list)
    config: WardConfig | None = None
    tools: list[ManifestFile] = field(default_factory=list)
    objectives: list[ObjectiveFile] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    gates: GatesFile | None = None
    tests: Tests = field(default_factory=Tests)
    sources: dict[str, bytes] = field(default_factory=dict)  # server -> text of its functions
    modules: dict[str, bytes] = field(default_factory=dict)  # file as named -> content

    def say(self, text: str, *, file: str, remedy: str) -> None:
        """One more finding."""
        self.findings.append(WardError(text, file=file, remedy=remedy))


def read_ward(path: Path) -> Reading:
    """Everything that a ward's files say; what is wrong with them is among the findings."""
    reading = Reading(path.absolute())
    if not path.is_dir():
        reading.say(f"there is no ward at `{path}`", file=CONFIG_FILE, remedy="run `toolward init WARD`")
        return reading
    if not (path / CONFIG_FILE).exists():
        reading.say(
            f"`{path}` holds no {CONFIG_FILE}", file=CONFIG_FILE, remedy=f"run `toolward init {path}`"
        )
        return reading
    _take(reading, CONFIG_FILE)
    for folder, ending in _FOLDERS:
        _take_folder(reading, folder, ending)
    config_root, config = _parse(reading, CONFIG_FILE, WardConfig)
    if config_root is not None and config is not None:
        reading.findings += check_config(config, config_root, file=CONFIG_FILE)
        reading.config = config
        _take_sources(reading, config, config_root)
        _take_modules(reading, config, config_root)
    for name in [n for n in reading.files if n.startswith("tools/")]:
        root, manifest = _parse(reading, name, ManifestFile)
        if root is not None and manifest is not None:
            reading.findings += check_manifest(manifest, reading.config, root, file=name, ward=reading.path)
            reading.tools.append(manifest)
    _take_objectives(reading)
    _read_contracts(reading)
    _read_gates(reading)
    for name, data in reading.files.items():
        if name.endswith(".cedar"):
            _check_text(reading, name, data)
    if not reading.findings and config is not None and config_root is not None:
        _check_variants(reading, config, config_root)
    return reading


def _take_objectives(reading: Reading) -> None:
    for name in [n for n in reading.files if n.startswith("objectives/")]:
        root, objective = _parse(reading, name, ObjectiveFile)
        if root is not None and objective is not None:
            reading.findings += check_objective(objective, reading.config, root, file=name)
            reading.objectives.append(objective)


def _read_contracts(reading: Reading) -> None:
    servers = reading.config.servers if reading.config is not None else None
    for name in [n for n in reading.files if n.startswith(f"{contracting.FOLDER}/")]:
        root, file = _parse(reading, name, ContractFile)
        if root is None or file is None:
            continue
        found = check_contracts(file, root, file=name, servers=servers)
        reading.findings += found
        reading.contracts += to_contracts(file) if not found else ()


def _read_gates(reading: Reading) -> None:
    """What versions have to show, and the tests that show it."""
    place = reading.path / GATES_FILE
    if place.exists() or place.is_symlink():
        _take(reading, GATES_FILE)
    root, reading.gates = _parse(reading, GATES_FILE, GatesFile)
    if root is not None and reading.gates is not None:
        roles = reading.config.roles if reading.config is not None else {}
        reading.findings += check_gates(reading.gates, root, roles)
    reading.tests, found = read_tests(reading.files)
    reading.findings += found


def _parse(reading: Reading, name: str, kind: type[S]) -> tuple[Node | None, S | None]:
    """The file as nodes and as a `kind`; findings go where they belong."""
    if name not in reading.files:
        return None, None
    root, found = read_yaml(reading.files[name], file=name)
    reading.findings += found
    if root is None and found:
        return None, None
    value, found = to_struct(root, kind, file=name)
    reading.findings += found
    return root, value


def _take_folder(reading: Reading, folder: str, ending: str) -> None:
    where = reading.path / folder
    if not where.exists() and not where.is_symlink():
        return
    if where.is_symlink() or not where.is_dir():
        reading.say(
            f"`{folder}` is not a directory of its own", file=folder, remedy="put the files themselves here"
        )
        return
    for item in sorted(where.iterdir()):
        name = f"{folder}/{item.name}"
        if item.name.startswith("."):
            continue
        if item.suffix == ending:
            _take(reading, name)
        elif ending == ".yaml" and item.suffix in (".yml", ".json"):
            reading.say(
                f"`{name}` would not be read", file=name, remedy=f"name it `{item.with_suffix(ending).name}`"
            )
        if len(reading.files) > FILES_MAX:
            reading.say(f"more than {FILES_MAX} files", file=folder, remedy="split the ward")
            return


def _take_sources(reading: Reading, config: WardConfig, root: Node) -> None:
    """The source files of functions; those in the ward are files of it."""
    for server, said, here in every_server(config):
        if not said.functions:
            continue
        line = root.at((*here, "functions")).line
        found = _code(reading, said.functions, line=line, endings=(".py",), what="Python source file")
        if found is None:
            continue
        name, data = found
        if name:
            reading.files[name] = data
        reading.findings += check_source(data, file=name or said.functions)
        reading.sources[server] = data


def _take_modules(reading: Reading, config: WardConfig, root: Node) -> None:
    """The files of modules. Their digests decide, in the versions that are pinned; they are no texts."""
    for _, said, here in every_server(config):
        for tool, module in said.modules.items():
            line = root.at((*here, "modules", tool, "file")).line
            endings = (".wasm", ".wat")
            found = _code(reading, module.file, line=line, endings=endings, what="WebAssembly module")
            if found is not None:
                reading.findings += check_module(found[1], file=found[0] or module.file)
                reading.modules[module.file] = found[1]


def _code(
    reading: Reading, file: str, *, line: int, endings: tuple[str, ...], what: str
) -> tuple[str, bytes] | None:
    """A file with code: its name in the ward, or '', and its content; None and a finding if there is none."""
    try:
        place, name = source_place(file, reading.path, endings=endings, what=what)
    except WardError as error:
        text, remedy = error.reason.text, error.reason.remedy
        reading.findings.append(WardError(text, file=CONFIG_FILE, line=line, remedy=remedy))
        return None
    bytes_max = FILE_BYTES_MAX if endings == (".py",) else MODULE_BYTES_MAX
    data = _plain_file(reading, place, name or file, within=bool(name), bytes_max=bytes_max)
    return None if data is None else (name, data)


def _take(reading: Reading, name: str) -> None:
    """Read one file, if it is a plain one of bounded size that really lies in the ward."""
    data = _plain_file(reading, reading.path / name, name, within=True)
    if data is not None:
        reading.files[name] = data


def _plain_file(
    reading: Reading, item: Path, name: str, *, within: bool, bytes_max: int = FILE_BYTES_MAX
) -> bytes | None:
    """The content, or None and a finding."""
    try:
        if within and not item.resolve(strict=True).is_relative_to(reading.path.resolve()):
            reading.say("a link that leads out of the ward", file=name, remedy="put the file itself here")
            return None
        status = item.stat()
        if not stat.S_ISREG(status.st_mode):
            reading.say("not a plain file", file=name, remedy="put a plain file here")
            return None
        with item.open("rb") as stream:
            data = stream.read(bytes_max + 1)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "a loop of links"
        reading.say(f"can not be read: {reason}", file=name, remedy="check the file and its mode")
        return None
    if len(data) > bytes_max:
        reading.say(f"longer than {bytes_max} bytes", file=name, remedy="split it")
        return None
    return data


def _check_text(reading: Reading, name: str, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        reading.findings.append(WardError("not utf-8", file=name, line=line, remedy="save it as utf-8"))


def _check_variants(reading: Reading, config: WardConfig, root: Node) -> None:
    for server_binding in bindings_of(config, reading):
        for earlier, later in twins(server_binding):
            server, _, variant = later.partition(VARIANT)
            reading.findings.append(
                WardError(
                    f"`{later}` is what `{earlier}` is already",
                    file=CONFIG_FILE,
                    line=root.at(("servers", server, "variants", variant)).line,
                    remedy="give it another package, command, url or source, or remove it",
                )
            )


def bindings_of(config: WardConfig, reading: Reading) -> tuple[ServerBinding, ...]:
    """Each server, with its variants as bindings of their own."""
    made: dict[str, ServerBinding] = {}
    for name, server, _ in every_server(config):
        made[name] = binding(
            name,
            server,
            reading.path,
            capabilities=_process_capabilities(server_of(name), reading),
            source=reading.sources.get(name, b"").decode("utf-8"),
            modules=reading.modules,
        )
    return tuple(
        replace(made[name], variants={each: made[each] for each in made if server_of(each) == name != each})
        for name in config.servers
    )


def _process_capabilities(server: str, reading: Reading) -> Capabilities | None:
    """What the server's process may touch, where a manifest says so."""
    found = next((file.capabilities for file in reading.tools if file.server == server), None)
    return to_capabilities(found, reading.path) if found is not None else None
