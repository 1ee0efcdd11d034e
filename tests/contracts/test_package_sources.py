"""Packages are installed from wheels only: building one runs its code, and installers run outside of cages."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from toolward.adapters.system.ids import CountingIds
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.errors import ToolFailed, WardError
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

BACKEND = """
import pathlib
pathlib.Path({mark!r}).touch()
"""
PROJECT = """
[build-system]
requires = []
build-backend = "back"
backend-path = ["."]
[project]
name = "counting"
version = "1.5"
"""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the package's code makes when it is built; the shelf holds its source and no wheel."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    mark = tmp_path / "built"
    with tarfile.open(shelf / "counting-1.5.tar.gz", "w:gz") as archive:
        for name, text in (
            ("pyproject.toml", PROJECT),
            ("back.py", BACKEND.format(mark=str(mark))),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: counting\nVersion: 1.5\n"),
        ):
            info = tarfile.TarInfo(f"counting-1.5/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    for name, value in (("FIND_LINKS", str(shelf)), ("NO_INDEX", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv(f"UV_{name}", value)
    return mark


def was_built(mark: Path) -> bool:
    return mark.exists()


def binding(*requirements: str, constraints: tuple[str, ...] = ()) -> ServerBinding:
    return ServerBinding(
        server="fn", kind=BindingKind.FUNCTIONS, requirements=requirements, constraints=constraints
    )


@pytest.mark.parametrize("installer", ["pip", "uv"])
async def test_a_source_distribution_is_not_built_and_the_error_names_it(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str
) -> None:
    folder = Path(sys.executable).parent
    if installer == "uv" and not (folder / "uv").exists():
        pytest.skip("uv is not installed")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if installer == "uv" else "/usr/bin:/bin")
    with pytest.raises(ToolFailed) as failed:
        await Packages(tmp_path / "state", ids=CountingIds()).ensure(binding("counting==1.5"))
    assert "check that `counting" in failed.value.reason.remedy
    assert "source distribution" in failed.value.reason.remedy
    assert not was_built(mark)


def test_the_control_building_it_runs_its_code(mark: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path), "counting==1.5"]
    subprocess.run(command, capture_output=True, check=False, env=dict(os.environ))
    assert was_built(mark)


async def test_a_requirement_by_url_is_refused_because_it_may_have_to_be_built(tmp_path: Path) -> None:
    packages = Packages(tmp_path / "state", ids=CountingIds())
    with pytest.raises(WardError, match="names no version"):
        await packages.ensure(binding("a==1", constraints=("b @ https://a.example/b.tar.gz",)))
