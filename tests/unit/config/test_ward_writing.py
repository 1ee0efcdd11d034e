"""A new ward: readable, complete, and never over something that was there."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from toolward.config.render import NetworkNeeds
from toolward.config.schema import schemas
from toolward.config.shape import Profile, SecretProvider, ServerConfig
from toolward.config.ward import check_ward, load_ward
from toolward.config.writing import WardPlan, refresh_schemas, write_drafts, write_manifests, write_ward
from toolward.config.yamltext import read_yaml
from toolward.errors import WardError
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, Manifest, Metadata

SERVERS = {
    "git": ServerConfig(package="pypi:mcp-server-git==2026.10.19", roots=("/srv/repo",), timeout_ms=9_000),
    "far": ServerConfig(url="https://h.example/mcp", headers={"Authorization": "${secret:FAR}"}),
}
MANIFESTS = {
    "git": {
        "git_status": Manifest(
            effect=Effect.READ_ONLY,
            effect_source="catalogue",
            egress=False,
            arguments={
                "repo_path": Argument(kind=ArgumentKind.PATH),
                "text": Argument(role=ArgumentRole.CONTENT),
            },
            result=Label(Integrity.TRUSTED, Confidentiality.INTERNAL),
            result_fields={"/a~1b": Label(Integrity.UNTRUSTED, Confidentiality.PUBLIC)},
            timeout_ms=9_000,
            output_bytes_max=77,
        ),
        "no": Manifest(timeout_ms=1),
    }
}


def test_a_written_ward_is_read_back_as_it_was_planned(tmp_path: Path) -> None:
    plan = WardPlan(
        name="demo",
        profile=Profile.STRICT,
        servers=SERVERS,
        secrets=SecretProvider.KEYRING,
        roles={"approver": ("alice",)},
    )
    written = write_ward(tmp_path / "w", plan)
    assert "toolward.yaml" in written
    assert check_ward(tmp_path / "w") == []
    ward = load_ward(tmp_path / "w")
    assert ward.config.servers == SERVERS
    assert ward.config.profile is Profile.STRICT
    assert ward.config.secrets.provider is SecretProvider.KEYRING
    assert ward.config.roles == {"approver": ("alice",)}
    assert (tmp_path / "w" / ".gitignore").read_text().endswith(".toolward/\n")
    assert (tmp_path / "w" / ".toolward").stat().st_mode & 0o077 == 0


def test_written_manifests_are_read_back_equal_so_their_versions_stay_approved(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    written = write_manifests(
        tmp_path, MANIFESTS, servers=SERVERS, metadata={"git": Metadata(owner="me", review_by="2027-01-01")}
    )
    assert written == ("tools/git.yaml",)
    ward = load_ward(tmp_path)
    assert {key: manifest for key, (manifest, _) in ward.manifests.items()} == {
        f"git/{name}": manifest for name, manifest in MANIFESTS["git"].items()
    }
    assert {metadata.owner for _, metadata in ward.manifests.values()} == {"me"}
    assert write_manifests(tmp_path, {"git": {}}, servers=SERVERS) == ()


def test_editors_find_a_schema_beside_the_ward_that_accepts_it(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    write_manifests(tmp_path, MANIFESTS, servers=SERVERS)
    for name in ("toolward.yaml", "tools/git.yaml"):
        text = (tmp_path / name).read_text()
        first, reference = text.splitlines()[0].split("$schema=")
        assert first == "# yaml-language-server: "
        schema = json.loads(((tmp_path / name).parent / reference).read_bytes())
        root, _ = read_yaml(text.encode(), file=name)
        assert root is not None
        jsonschema.validate(root.plain(), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**root.plain(), "sevrers": {}}, schema)


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    write_ward(tmp_path, WardPlan(name="demo"))
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    before = (tmp_path / "toolward.yaml").read_bytes()
    with pytest.raises(WardError, match="there is a ward"):
        write_ward(tmp_path, WardPlan(name="other"))
    assert (tmp_path / "toolward.yaml").read_bytes() == before


def test_copies_of_the_schemas_are_brought_up_to_date(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo"))
    for name in schemas():
        (tmp_path / ".toolward" / "schema" / name).write_text("{}")
    refresh_schemas(tmp_path)
    for name, body in schemas().items():
        assert (tmp_path / ".toolward" / "schema" / name).read_bytes() == body


def test_a_tool_with_an_odd_name_is_left_to_the_defaults(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    tools = {"a/b": Manifest(), "a b": Manifest(), "no": Manifest(), "#x: {": Manifest(), "ok😀": Manifest()}
    write_manifests(tmp_path, {"git": tools}, servers=SERVERS)
    assert set(load_ward(tmp_path).manifests) == {"git/no", "git/ok😀"}


NEEDS = NetworkNeeds(("api.example.org:443",), "the sites that it reads")


def test_a_draft_grants_what_is_known_and_is_replaced_once_the_tools_are_known(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    assert write_drafts(tmp_path, {"git": NEEDS, "other": NetworkNeeds()}) == ("git",)
    assert write_drafts(tmp_path, {"git": NEEDS}) == ()
    draft = load_ward(tmp_path)
    (git,) = (each for each in draft.bindings if each.server == "git")
    assert git.capabilities is not None
    assert [str(grant.host) for grant in git.capabilities.network] == ["api.example.org"]
    assert draft.manifests == {}
    write_manifests(tmp_path, MANIFESTS, servers=SERVERS, networks={"git": NEEDS})
    whole = load_ward(tmp_path)
    assert whole.bindings == draft.bindings
    assert len(whole.manifests) == len(MANIFESTS["git"])


def test_a_draft_that_somebody_edited_is_theirs(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    write_drafts(tmp_path, {"git": NEEDS})
    file = tmp_path / "tools" / "git.yaml"
    file.write_text(file.read_text() + "# mine\n")
    assert write_manifests(tmp_path, MANIFESTS, servers=SERVERS, networks={"git": NEEDS}) == ()
    assert file.read_text().endswith("# mine\n")


def test_what_only_the_operator_knows_is_ready_to_be_filled_in(tmp_path: Path) -> None:
    write_ward(tmp_path, WardPlan(name="demo", servers=SERVERS))
    write_drafts(tmp_path, {"git": NetworkNeeds(more="the sites that it reads")})
    file = tmp_path / "tools" / "git.yaml"
    text = file.read_text()
    assert load_ward(tmp_path).bindings[0].capabilities is None
    file.write_text(text.replace("# capabilities:", "capabilities:").replace("#   network", "  network"))
    (grant,) = load_ward(tmp_path).bindings[0].capabilities.network
    assert (grant.host, grant.port) == ("host", 443)
