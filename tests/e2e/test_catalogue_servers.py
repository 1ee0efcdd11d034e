"""Real servers, installed afresh, are what the catalogue says that they are."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from toolward.catalogue import load_catalogue
from toolward.lab.catalogue_refresh import install, list_definitions
from toolward.model.call import Era
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

UV = Path(sys.executable).with_name("uv").exists() or shutil.which("uv") is not None

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not UV, reason="no uv here: `make setup` puts one into .venv/bin"),
]


@pytest.mark.parametrize("stem", ["mcp-server-time", "mcp-server-git"])
def test_an_installed_server_lists_only_tools_that_the_catalogue_knows(tmp_path: Path, stem: str) -> None:
    catalogue = load_catalogue()
    file = catalogue.servers[stem]
    eras = list_definitions(install(file, tmp_path / "env"), cwd=tmp_path, env={})
    assert set(eras) == {Era.HANDSHAKE, Era.STATELESS}
    binding = ServerBinding(server="s", kind=BindingKind.STDIO, package=file.package)
    for definitions in eras.values():
        assert {definition["name"] for definition in definitions} == set(file.tools)
        for definition in definitions:
            found = catalogue.match_definition(definition, binding=binding)
            assert found is not None, definition["name"]
            assert found.manifest.effect is file.tools[definition["name"]].effect
