"""What a cage shows of a program that nobody declared: its own, and never a home, a secret or the ward."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.adapters.tools.mcp.stdio.caged import scope_of_process
from toolward.adapters.tools.mcp.stdio.programs import program_paths
from toolward.errors import Denied
from toolward.model.capability import Kept, PathAccess
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

PATH = "/usr/local/bin:/usr/bin:/bin"


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def shown(*argv: str | Path) -> set[str]:
    return set(program_paths([str(word) for word in argv], PATH))


def test_what_every_program_runs_from_is_not_repeated() -> None:
    assert shown("sh", "-c", "true") == set()
    assert shown("nowhere") == set()


def test_a_program_in_the_bin_of_a_home_is_shown_alone(tmp_path: Path) -> None:
    tool = executable(tmp_path / "ana" / "bin" / "tool")
    assert shown(tool) == {str(tool)}


def test_a_virtual_environment_is_shown_whole_with_its_base(tmp_path: Path) -> None:
    base = executable(tmp_path / "python" / "bin" / "python3")
    (base.parent.parent / "lib" / "python3.11").mkdir(parents=True)
    env = tmp_path / "env"
    executable(env / "bin" / "server", f"#!{env}/bin/python\n")
    (env / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (env / "bin" / "python").symlink_to(base)
    assert shown(env / "bin" / "server") == {str(env), str(tmp_path / "python")}


def test_node_modules_are_shown_and_not_what_they_lie_in(tmp_path: Path) -> None:
    server = executable(tmp_path / "project" / "node_modules" / "s" / "main.js")
    (tmp_path / "project" / "secret").write_text("x")
    assert shown(server) == {str(tmp_path / "project" / "node_modules")}


@pytest.mark.parametrize(
    "words",
    [
        ("python3", "-c", "pass", "{data}"),
        ("python3", "-m", "db", "{data}"),
        ("python3", "-u", "relative.py", "{data}"),
        ("cat", "{data}"),
        ("cat", "--db-path", "{data}"),
    ],
)
def test_what_is_data_is_no_script(tmp_path: Path, words: tuple[str, ...]) -> None:
    data = tmp_path / "data.db"
    data.write_text("x")
    assert str(tmp_path) not in " ".join(shown(*(word.format(data=data) for word in words)))


def test_a_script_is_shown_with_its_directory(tmp_path: Path) -> None:
    script = tmp_path / "server" / "main.py"
    script.parent.mkdir()
    script.write_text("")
    assert str(script.parent) in shown("python3", "-u", script)


@pytest.mark.parametrize("line", ["#!/usr/bin/env -S", "#!", "#!/nowhere", "#! ", "#!/usr/bin/env A=1"])
def test_an_odd_first_line_is_no_interpreter(tmp_path: Path, line: str) -> None:
    tool = executable(tmp_path / "tool", f"{line}\n")
    assert shown(tool) == {str(tool)}


def test_programs_that_interpret_each_other_end_somewhere(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    executable(one, f"#!{two}\n")
    executable(two, f"#!{one}\n")
    assert shown(one) == {str(one), str(two)}


# --- the scope of a server's process --------------------------------------------------------------------


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    ward = tmp_path / "home" / "project" / "ward"
    (ward / ".toolward" / "keys").mkdir(parents=True)
    return ward


def scope(ward: Path, **binding: object) -> dict[str, str]:
    server = ServerBinding(server="s", kind=BindingKind.STDIO, **{"command": ("sh",), **binding})  # type: ignore[arg-type]
    made = scope_of_process(server, ["sh"], kept=Kept(hidden=(str(ward / ".toolward"),), wards=(str(ward),)))
    return {grant.path: grant.access.value for grant in made.paths}


def test_the_gateways_state_is_in_no_scope_whatever_names_it(ward: Path) -> None:
    for cwd in (ward / ".toolward", ward / ".toolward" / "keys"):
        with pytest.raises(Denied, match="can not be granted"):
            scope(ward, cwd=str(cwd))
    assert scope(ward, cwd=str(ward)) == {str(ward): "read", str(ward / ".toolward"): "hide"}
    assert scope(ward, cwd=str(ward.parent))[str(ward / ".toolward")] == PathAccess.HIDE.value


@pytest.mark.parametrize("cwd", ["/etc", "/tmp", "/root", "/home", "/proc", "/run", "/var"])
def test_a_working_directory_that_holds_more_than_the_server_is_refused(ward: Path, cwd: str) -> None:
    with pytest.raises(Denied):
        scope(ward, cwd=cwd)


def test_a_root_that_holds_the_ward_directly_does_not_show_it_and_one_above_is_refused(ward: Path) -> None:
    """Whoever may write in the ward decides over all cages; whoever may rename above it uncovers its state."""
    hidden = scope(ward, roots=(str(ward.parent),))
    assert hidden[str(ward)] == "hide"
    for root in (ward, ward.parent.parent, ward / "tools"):
        with pytest.raises(Denied):
            scope(ward, roots=(str(root),))


def test_declared_capabilities_are_part_of_what_is_approved() -> None:
    from toolward.model.capability import Capabilities

    plain = ServerBinding(server="s", kind=BindingKind.STDIO, command=("x",))
    wider = ServerBinding(server="s", kind=BindingKind.STDIO, command=("x",), capabilities=Capabilities())
    bare = ServerBinding(server="s", kind=BindingKind.STDIO, command=("x",), unsafe_no_sandbox=True)
    assert len({plain.identity(), wider.identity(), bare.identity()}) == 3
