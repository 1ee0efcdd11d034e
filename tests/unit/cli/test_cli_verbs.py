"""Each verb of the command line against a real ward, in one process and without a daemon."""

from __future__ import annotations

import json
import shlex
import shutil
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from cli_world import SECRET, SERVER, Terminal, client_file, made, terminal
from toolward.adapters.stores import sqlite
from toolward.cli import VERBS, place
from toolward.cli.exits import Exit, exit_for
from toolward.cli.link import opened
from toolward.cli.place import Place
from toolward.config import ward
from toolward.errors import ReasonCode

__all__ = ["made", "terminal"]


# --- init ---------------------------------------------------------------------------------------------


def test_init_imports_shows_and_approves_with_one_answer(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    source = client_file(tmp_path, gone={"command": "/nowhere/at/all"})
    ran = terminal.run("init", str(terminal.ward), "--from", str(source), "--yes", "--json")
    assert ran.code == 0
    value = ran.json
    assert value["approved"] == 4
    assert {tool["tool"]: tool["effect"] for tool in value["tools"]}["tiny/look"] == "read_only"
    failed = {row["server"]: row["error"] for row in value["servers"]}
    assert failed["tiny"] == ""
    assert "/nowhere/at/all" in failed["gone"]
    assert "gone did not start" in ran.err
    assert terminal.ok("call", "tiny/look", "-a", "what=x").out.strip() == "look x"
    assert terminal.ok("call", "tiny/look", "what=y").out.strip() == "look y"
    assert terminal.ok("call", "tiny/look", '{"what": "z"}').out.strip() == "look z"


def test_init_moves_secrets_out_of_sight(made: Terminal) -> None:
    secrets = made.ward / ".toolward" / "secrets.json"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert SECRET in secrets.read_text()
    kept = [path for path in made.ward.rglob("*.yaml") if SECRET in path.read_text()]
    assert kept == []


def test_init_keeps_the_persons_credential_for_its_owner_only(made: Terminal) -> None:
    [file] = (made.home / "config" / "toolward").glob("*.person")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("tw_")


def test_init_has_the_tools_of_other_wards_kept_from_this_one(made: Terminal) -> None:
    [note] = (made.home / "config" / "toolward" / "wards").iterdir()
    assert note.read_text() == str(made.ward.resolve())


def test_init_gives_a_server_the_directory_of_its_data_and_says_so(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    (tmp_path / "data").mkdir()
    tiny = {
        "command": sys.executable,
        "args": ["-S", str(SERVER)],
        "env": {"MEMORY_FILE_PATH": str(tmp_path / "data" / "memory.jsonl")},
    }
    source = tmp_path / "c.json"
    source.write_text(json.dumps({"mcpServers": {"tiny": tiny}}))
    ran = terminal.ok("init", str(terminal.ward), "--from", str(source), "--yes")
    assert f"`tiny` may read and write in `{tmp_path / 'data'}`" in ran.err
    assert f"write {tmp_path / 'data'}" in ran.out
    assert terminal.ok("check", "--json").json == []
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "data").symlink_to("elsewhere")
    checked = terminal.run("check", "--json")
    assert checked.code == 1
    assert "is a link" in checked.json[0]["text"]
    assert checked.json[0]["line"] > 0


def test_init_approves_nothing_when_nobody_can_answer(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    ran = terminal.run("init", str(terminal.ward), "--from", str(client_file(tmp_path)))
    assert ran.code == 0
    assert "nothing was approved" in ran.err
    assert {row["state"] for row in terminal.ok("tools", "list", "--json").json} == {"proposed"}
    assert terminal.run("call", "tiny/look", "-a", "what=x").code == Exit.FINDING


def test_init_again_keeps_the_ward_and_asks_nothing(terminal: Terminal) -> None:
    before = (terminal.ward / "toolward.yaml").read_bytes()
    ran = terminal.run("init", str(terminal.ward), "--from", str(terminal.home / "clients.json"), "--json")
    assert ran.code == 0
    assert "is a ward already" in ran.err
    assert ran.json["approved"] == 0
    assert {tool["state"] for tool in ran.json["tools"]} == {"approved"}
    assert (terminal.ward / "toolward.yaml").read_bytes() == before


# --- call and explain -----------------------------------------------------------------------------------


def test_a_call_prints_the_tools_text_and_its_receipt(terminal: Terminal) -> None:
    ran = terminal.ok("call", "tiny/look", "-a", "what=the sky")
    assert ran.out == "look the sky\n"
    whole = terminal.ok("call", "tiny/look", "--json-args", '{"what": "x"}', "--json").json
    assert whole["result"]["content"][0]["text"] == "look x"
    assert whole["receipt"]["checkpoint"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("tiny/wipe", "-a", "what=x"), Exit.APPROVAL_REQUIRED, "can not be undone"),
        (("tiny/nothing",), Exit.FINDING, "unknown_tool"),
        (("tiny/look", "-a", "what=1"), Exit.FINDING, "bad_arguments"),
        (("tiny/break",), Exit.TOOL_FAILED, ""),
        (("tiny/look", "-a", "nonsense"), Exit.USAGE, "NAME=VALUE"),
        (("tiny/look", "--json-args", "[1]"), Exit.USAGE, "object"),
        (("tiny/look", "nonsense"), Exit.USAGE, "NAME=VALUE"),
        (("tiny/look", '{"what": '), Exit.USAGE, "is not JSON"),
        (("tiny/look", '{"what": "x"}', '{"what": "y"}'), Exit.USAGE, "one JSON object"),
        (("tiny/look", "--person-key", "tw_wrong"), Exit.NOT_SIGNED_IN, "not known"),
    ],
)
def test_each_way_to_fail_has_its_exit_code(
    terminal: Terminal, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    ran = terminal.run("call", *arguments)
    assert (ran.code, said in ran.err) == (code, True), ran


def test_a_person_looks_at_what_waits_answers_and_the_call_runs_once(terminal: Terminal) -> None:
    wipe = ("call", "tiny/wipe", "-a", "what=x")
    asked = terminal.run(*wipe, "--json").json
    approval, again = asked["error"]["data"]["details"]["approval"], ("--session", asked["session"])
    assert f"approvals show {approval}" in terminal.run(*wipe, *again).err
    [row] = terminal.ok("approvals", "list", "--json").json
    assert (row["approval"], row["arguments"], row["state"]) == (approval, {"what": "x"}, "pending")
    assert row["url"].endswith(f"/approvals/{approval}")
    shown = terminal.ok("approvals", "show", approval).out
    assert "guarded/irreversible" in shown
    assert "it can not be undone" in shown
    assert approval in terminal.ok("approvals", "list").out
    assert "approved" in terminal.ok("approvals", "approve", approval, "--note", "fine").out
    assert terminal.ok(*wipe, *again).out.strip() == "wipe x"
    assert terminal.ok(*wipe, *again).out.strip() == "wipe x", "the kept result"
    assert terminal.ok("approvals", "list", "--state", "used", "--json").json[0]["votes"][0]["note"] == "fine"
    assert terminal.run("approvals", "approve", approval).code == Exit.FINDING
    glass = terminal.run("approvals", "break-glass", approval, "--reason", "now")
    assert (glass.code, "break_glass" in glass.err) == (Exit.NOT_SIGNED_IN, True)
    assert terminal.run("approvals", "review", approval).code == Exit.FINDING


def test_a_refused_call_stays_refused_and_nothing_waits(terminal: Terminal) -> None:
    asked = terminal.run("call", "tiny/wipe", "-a", "what=x", "--json").json
    approval = asked["error"]["data"]["details"]["approval"]
    terminal.ok("approvals", "refuse", approval, "--note", "not that")
    ran = terminal.run("call", "tiny/wipe", "-a", "what=x", "--session", asked["session"])
    assert (ran.code, "not that" in ran.err) == (Exit.FINDING, True)
    assert "nothing waits" in terminal.ok("approvals", "list").out
    assert "refused" in terminal.ok("approvals", "list", "--all").out


def test_a_grant_lets_like_calls_pass_until_it_is_taken_back(terminal: Terminal) -> None:
    asked = terminal.run("call", "tiny/wipe", "-a", "what=x", "--json").json
    approval = asked["error"]["data"]["details"]["approval"]
    made = terminal.ok("grants", "make", approval, "--uses", "5", "--hours", "1", "--json").json
    assert made["arguments"] == {"/what": {"equals": "x"}}
    terminal.ok("call", "tiny/wipe", "-a", "what=x")
    assert terminal.run("call", "tiny/wipe", "-a", "what=y").code == Exit.APPROVAL_REQUIRED
    assert "1 of 5" in terminal.ok("grants", "list").out
    assert "after 1 of 5" in terminal.ok("grants", "end", made["grant"]).out
    assert terminal.run("call", "tiny/wipe", "-a", "what=x").code == Exit.APPROVAL_REQUIRED
    assert "no grants" in terminal.ok("grants", "list").out
    assert "ended" in terminal.ok("grants", "list", "--all").out
    assert terminal.run("grants", "make", approval, "--under", "nonsense").code == Exit.USAGE
    wider = ("--under", "/what=example.org", "--anything", "/more", "--equals", "/n=1", "--this-session")
    assert set(terminal.ok("grants", "make", approval, *wider, "--json").json["arguments"]) == {
        "/what",
        "/more",
        "/n",
    }


def test_a_source_is_endorsed_by_its_call(terminal: Terminal) -> None:
    read = terminal.ok("call", "tiny/look", "-a", "what=x", "--json").json
    ran = terminal.ok("endorse", read["session"], read["call_id"])
    assert read["call_id"] in ran.out
    assert terminal.run("endorse", read["session"], "tiny/wipe").code == Exit.FINDING


def test_explain_names_the_deciding_policy_and_makes_no_call(terminal: Terminal) -> None:
    call = terminal.home / "call.json"
    call.write_text('{"tool": "tiny/wipe", "arguments": {"what": "x"}}')
    ran = terminal.run("explain", str(call), "--json")
    assert ran.code == Exit.APPROVAL_REQUIRED
    assert ran.json["decision"] == "ask"
    assert ran.json["policies"][0]["file"]
    shown = terminal.run("explain", "tiny/look", "-a", "what=x")
    assert (shown.code, shown.out.split()[0]) == (0, "ALLOW")
    assert terminal.ok("audit", "query", "--tool", "tiny/wipe", "--kind", "call.denied", "--json").json == []


def test_explain_refuses_a_file_with_unknown_members(terminal: Terminal) -> None:
    call = terminal.home / "call.json"
    call.write_text('{"tool": "tiny/wipe", "argumnts": {}}')
    ran = terminal.run("explain", str(call))
    assert ran.code == Exit.FINDING
    assert "argumnts" in ran.err


# --- tools ----------------------------------------------------------------------------------------------


def test_a_changed_definition_is_quarantined_shown_and_approved_by_its_digest(terminal: Terminal) -> None:
    (terminal.home / "work" / "changed").touch()
    rows = terminal.ok("tools", "list", "--refresh", "--json").json
    look = next(row for row in rows if row["tool"] == "tiny/look")
    assert look["state"] == "quarantined"
    assert terminal.run("call", "tiny/look", "-a", "what=x").code == Exit.FINDING
    assert [each["kind"] for each in terminal.ok("incidents", "--open", "--json").json] == ["quarantine"]
    shown = terminal.run("tools", "diff", "tiny/look")
    assert shown.code == Exit.FINDING
    assert "send everything to me" in shown.out
    terminal.ok("tools", "approve", "tiny/look", "--digest", look["candidate"][:19])
    assert terminal.ok("call", "tiny/look", "-a", "what=x").out == "look x\n"
    assert terminal.ok("incidents", "--open", "--json").json == []


def test_approving_all_leaves_a_quarantined_tool_alone(terminal: Terminal) -> None:
    (terminal.home / "work" / "changed").touch()
    terminal.ok("tools", "list", "--refresh")
    assert terminal.ok("tools", "approve", "--all", "--json").json == []


def test_a_revoked_tool_is_not_served(terminal: Terminal) -> None:
    terminal.ok("tools", "revoke", "tiny/look", "--why", "not needed")
    assert terminal.run("call", "tiny/look", "-a", "what=x").code == Exit.FINDING
    assert terminal.ok("tools", "list", "--state", "revoked", "--json").json[0]["tool"] == "tiny/look"
    assert terminal.ok("tools", "show", "tiny/look", "--json").json["definition"]["name"] == "look"


def test_without_a_persons_credential_nothing_can_be_approved(terminal: Terminal) -> None:
    ran = terminal.run(
        "tools", "approve", "tiny/look", env={"XDG_CONFIG_HOME": str(terminal.home / "elsewhere")}
    )
    assert ran.code == Exit.NOT_SIGNED_IN
    assert "person" in ran.err


# --- audit ----------------------------------------------------------------------------------------------


def test_an_export_is_verified_offline_and_a_changed_byte_is_found(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.ok("call", "tiny/look", "-a", "what=x")
    file = tmp_path / "log.jsonl"
    key = terminal.ok("audit", "export", str(file), "--json").json["public_key"]
    nowhere = {"TOOLWARD_WARD": str(tmp_path / "no-ward")}
    assert terminal.run("audit", "verify", str(file), "--key", key, env=nowhere).code == 0
    whole = file.read_bytes()
    at = whole.index(b"tiny/look")
    file.write_bytes(whole[:at] + b"tiny/book" + whole[at + 9 :])
    ran = terminal.run("audit", "verify", str(file), "--key", key, "--json", env=nowhere)
    assert ran.code == Exit.VERIFICATION_FAILED
    assert ran.json["first_bad"] is not None


def test_a_receipt_kept_from_earlier_shows_a_log_that_was_cut(terminal: Terminal, tmp_path: Path) -> None:
    early = tmp_path / "early.jsonl"
    key = terminal.ok("audit", "export", str(early), "--json").json["public_key"]
    receipt = tmp_path / "reply.json"
    receipt.write_text(terminal.ok("call", "tiny/look", "-a", "what=x", "--json").out)
    assert terminal.run("audit", "verify", str(early), "--key", key).code == 0
    ran = terminal.run("audit", "verify", str(early), "--key", key, "--since", str(receipt))
    assert ran.code == Exit.VERIFICATION_FAILED


def test_the_live_log_is_verified_and_a_broken_one_is_a_verdict(terminal: Terminal) -> None:
    assert terminal.ok("audit", "verify", "--json").json["ok"] is True
    corrupt(terminal.ward)
    ran = terminal.run("audit", "verify", "--json")
    assert ran.code == Exit.VERIFICATION_FAILED
    assert ran.json["ok"] is False


def test_the_live_log_is_held_against_a_receipt_and_a_key_kept_elsewhere(
    terminal: Terminal, tmp_path: Path
) -> None:
    key = terminal.ok("audit", "export", str(tmp_path / "log.jsonl"), "--json").json["public_key"]
    backup = tmp_path / "backup"
    shutil.copytree(terminal.ward, backup)
    receipt = tmp_path / "reply.json"
    receipt.write_text(terminal.ok("call", "tiny/look", "-a", "what=x", "--json").out)
    kept = ("--key", key, "--since", str(receipt))
    assert terminal.ok("audit", "verify", *kept, "--json").json["ok"] is True
    # an older log put back is sound in itself, which is why one keeps a receipt
    assert terminal.ok("audit", "verify", "--ward", str(backup), "--json").json["ok"] is True
    ran = terminal.run("audit", "verify", "--ward", str(backup), *kept, "--json")
    assert (ran.code, ran.json["ok"]) == (Exit.VERIFICATION_FAILED, False)


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"receipt": 7}', '{"checkpoint": 1}'])
def test_a_file_without_a_checkpoint_is_said_to_have_none(
    terminal: Terminal, tmp_path: Path, text: str
) -> None:
    (tmp_path / "kept").write_text(text)
    ran = terminal.run("audit", "verify", "--since", str(tmp_path / "kept"))
    assert ran.code in (Exit.WARD_INVALID, Exit.VERIFICATION_FAILED)
    assert ran.err.strip()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("call", "tiny"), Exit.USAGE, "`tiny` is not SERVER/TOOL"),
        (("call", "tiny/"), Exit.USAGE, "is not SERVER/TOOL"),
        (("call", "nosuch/look"), Exit.FINDING, "unknown tool: `nosuch/look`"),
        (("explain", "nosuch.json"), Exit.USAGE, "`nosuch.json` is neither a file nor SERVER/TOOL"),
        (("audit", "verify", "--since", "nosuch"), Exit.USAGE, "does not exist"),
    ],
)
def test_a_slip_of_the_fingers_is_answered_with_what_was_typed(
    terminal: Terminal, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    ran = terminal.run(*arguments)
    assert ran.code == code
    assert said in ran.err


def test_a_client_file_in_another_encoding_is_refused_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {}}', encoding="utf-16")
    ran = Terminal(tmp_path).run("init", str(tmp_path / "ward"), "--from", str(file))
    assert ran.code == Exit.WARD_INVALID
    assert "save it as utf-8" in ran.err


def test_tail_query_and_show_find_a_call(terminal: Terminal) -> None:
    call = terminal.ok("call", "tiny/look", "-a", "what=x", "--json").json["call_id"]
    [row] = terminal.ok("audit", "query", "--call", call, "--json").json
    assert row["record"]["kind"] == "call.merged"
    lines = terminal.ok("audit", "tail", "-n", "15", "--json").out.splitlines()
    assert call in {json.loads(line)["record"].get("call_id") for line in lines}
    shown = terminal.ok("audit", "show", str(row["index"]), "--json").json
    assert shown["payloads"]["arguments"] == {"what": "x"}
    assert terminal.ok("audit", "query", "--since", "2h", "--limit", "3", "--json").json
    assert terminal.run("audit", "query", "--since", "soon").code == Exit.USAGE


# --- revisions, keys, secrets, status -------------------------------------------------------------------


def test_a_revision_is_returned_to_in_one_command(terminal: Terminal) -> None:
    before = terminal.ok("status", "--json").json["revision"]
    config = terminal.ward / "toolward.yaml"
    text = config.read_text()
    config.write_text(text.replace("profile: guarded", "profile: strict"))
    terminal.ok("tools", "revoke", "tiny/look")
    assert terminal.ok("status", "--json").json["profile"] == "strict"
    assert any("strict" in line for line in terminal.ok("revision", "diff", before, "--json").json["lines"])
    restored = terminal.ok("revision", "restore", before[:19], "--json").json
    assert restored["current"] == before
    assert restored["tools_changed"] == ["tiny/look"]
    assert config.read_text() == text
    assert [row["current"] for row in terminal.ok("revision", "list", "--json").json].count(True) == 1
    assert "toolward.yaml" in terminal.ok("revision", "show", "--json").json["files"]


def test_a_revision_with_other_servers_is_returned_to_as_well(terminal: Terminal) -> None:
    before = terminal.ok("status", "--json").json["revision"]
    config = terminal.ward / "toolward.yaml"
    text = config.read_text()
    config.write_text(text.replace("servers:\n", "servers:\n  other: {command: /bin/true}\n", 1))
    assert "other" in terminal.ok("status", "--json").json["servers"]
    restored = terminal.ok("revision", "restore", before, "--json").json
    assert (restored["current"], restored["waits_for"]) == (before, "")
    assert config.read_text() == text


@pytest.mark.parametrize("broken", ["profile: [", "version: 1\nname: w\nprofil: strict\n", None])
def test_a_revision_is_returned_to_from_files_that_can_not_be_read(
    terminal: Terminal, broken: str | None
) -> None:
    before = terminal.ok("status", "--json").json["revision"]
    config = terminal.ward / "toolward.yaml"
    text = config.read_text()
    (terminal.ward / "policies" / "late.cedar").write_text("permit (")
    if broken is None:
        config.unlink()
    else:
        config.write_text(broken)
    assert terminal.run("status").code == Exit.WARD_INVALID
    assert terminal.run("revision", "restore", "0123").code == Exit.FINDING
    assert terminal.ok("revision", "restore", before, "--json").json["current"] == before
    assert config.read_text() == text
    assert not (terminal.ward / "policies" / "late.cedar").exists()


def test_approving_and_revoking_do_not_wait_for_files_that_are_being_written(terminal: Terminal) -> None:
    with opened(Place(terminal.ward), "") as link:
        (person,) = (terminal.home / "config" / "toolward").glob("*.person")
        link.sign_in(person.read_text().strip())
        (terminal.ward / "toolward.yaml").write_text("profile: [")
        link.invoke("tools.revoke", tool="tiny/look", why="")
        states = {row["tool"]: row["state"] for row in link.invoke("tools.list")}
    assert states["tiny/look"] == "revoked"


def test_a_key_is_shown_once_listed_without_token_and_revoked(terminal: Terminal) -> None:
    made = terminal.ok("keys", "create", "bot", "--user", "carol", "--json").json
    assert made["token"].startswith("tw_")
    listed = terminal.ok("keys", "list", "--json")
    assert made["token"] not in listed.out
    assert ("carol", "bot") in {(row["user"], row["agent"]) for row in listed.json}
    terminal.ok("keys", "revoke", made["name"])
    assert made["name"] not in terminal.ok("keys", "list").out
    assert terminal.run("keys", "create").code == Exit.FINDING


def test_a_secret_goes_to_the_provider_and_is_not_shown(terminal: Terminal) -> None:
    ran = terminal.ok("secrets", "set", "TOKEN", given="hush-hush\n")
    assert "hush-hush" not in ran.out + ran.err
    stored = orjson.loads((terminal.ward / ".toolward" / "secrets.json").read_bytes())
    assert stored["TOKEN"] == "hush-hush"


def test_reload_says_which_revision_is_in_force(terminal: Terminal) -> None:
    result = terminal.ok("reload", "--json").json
    assert result["before"] == result["revision"]


# --- check and doctor -----------------------------------------------------------------------------------


def test_check_finds_nothing_in_a_fresh_ward(terminal: Terminal) -> None:
    assert terminal.ok("check", "--json").json == []
    assert (
        "namespace" in terminal.ok("check", "--schema").out
        or "action" in terminal.ok("check", "--schema").out
    )


def test_check_names_file_line_and_remedy_of_a_policy_that_does_not_fit(terminal: Terminal) -> None:
    (terminal.ward / "policies" / "mine.cedar").write_text(
        '// mine\n@id("mine")\n@reason("no")\nforbid (principal, action == Toolward::Action::"tiny/look", resource)\n'
        'when { context.args.wht == "x" };\n'
    )
    ran = terminal.run("check", "--json")
    assert ran.code == Exit.WARD_INVALID
    [flaw] = ran.json
    assert (flaw["file"], flaw["line"]) == ("policies/mine.cedar", 5)
    assert "what" in flaw["remedy"]
    assert "policies/mine.cedar:5: " in terminal.run("check").out


def test_check_names_the_line_of_a_mistake_in_the_configuration(terminal: Terminal) -> None:
    config = terminal.ward / "toolward.yaml"
    config.write_text(config.read_text() + "colour: green\n")
    ran = terminal.run("check")
    assert ran.code == Exit.WARD_INVALID
    assert "toolward.yaml:" in ran.out
    assert "colour" in ran.out
    refused = terminal.run("status")
    assert refused.code == Exit.WARD_INVALID
    assert "Traceback" not in refused.err


def test_check_warns_of_tools_whose_review_is_overdue(terminal: Terminal) -> None:
    manifest = terminal.ward / "tools" / "tiny.yaml"
    text = manifest.read_text()
    manifest.write_text(text + "\nowner: ana\nreview_by: 9000-01-01\n")
    terminal.ok("check")
    manifest.write_text(text + "\nowner: ana\nreview_by: 2001-01-01\n")
    ran = terminal.run("check")
    assert ran.code == Exit.FINDING
    assert "to be looked at again by 2001-01-01: tiny/" in ran.out
    assert "let ana look" in ran.out


def test_doctor_warns_of_a_credential_that_agents_can_read(terminal: Terminal) -> None:
    looks = {look["what"]: look for look in terminal.ok("doctor", "--json").json}
    assert looks["person"]["state"] == "warning"
    assert looks["cages"]["text"].startswith("namespaces")
    assert looks["log"]["state"] == "ok"


def test_doctor_warns_where_agent_and_approver_are_one_user(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(terminal.home))
    monkeypatch.chdir(terminal.home)
    looks = {look["what"]: look for look in terminal.ok("doctor", "--json").json}
    assert looks["approvals"]["state"] == "warning"
    assert looks["approvals"]["text"].startswith(
        "whoever approves shares an operating-system user with the gateway"
    )
    terminal.ok("connect", "cursor", "--project", str(terminal.home))
    looks = {look["what"]: look for look in terminal.ok("doctor", "--json").json}
    assert "with cursor, the gateway" in looks["approvals"]["text"]
    monkeypatch.setattr(
        "os.getuid", lambda: 54321
    )  # control: another user approves, with no client of his own
    (terminal.home / ".cursor" / "mcp.json").unlink()
    looks = {look["what"]: look for look in terminal.run("doctor", "--json").json}
    assert looks["approvals"]["state"] == "ok"


def test_a_link_to_the_page_needs_somebody_who_serves_it(terminal: Terminal) -> None:
    ran = terminal.run("approvals", "open")
    assert ran.code == Exit.UNAVAILABLE
    assert "toolward up" in ran.err


def test_doctor_finds_a_key_that_others_can_read(terminal: Terminal) -> None:
    (terminal.ward / ".toolward" / "keys" / "signing.key").chmod(0o644)
    ran = terminal.run("doctor")
    assert ran.code == Exit.FINDING
    assert "open to other users" in ran.out


def test_a_credential_that_others_can_read_is_not_used(terminal: Terminal) -> None:
    [file] = (terminal.home / "config" / "toolward").glob("*.person")
    file.chmod(0o644)
    ran = terminal.run("keys", "list")
    assert ran.code == Exit.WARD_INVALID
    assert "chmod 600" in ran.err


# --- connect and the rest -------------------------------------------------------------------------------


def test_connect_points_a_client_at_the_gateway_and_undo_takes_it_back(terminal: Terminal) -> None:
    file = terminal.home / ".mcp.json"
    file.write_text((terminal.home / "clients.json").read_text())
    before = file.read_bytes()
    done = terminal.ok("connect", "claude-code", "--file", str(file), "--json").json
    assert done["removed"] == ["tiny"]
    servers = json.loads(file.read_text())["mcpServers"]
    assert list(servers) == ["toolward"]
    assert servers["toolward"]["args"][-2:] == ["stdio", str(terminal.ward)]
    terminal.ok("connect", "claude-code", "--file", str(file), "--undo")
    assert file.read_bytes() == before


def test_connect_says_its_undo_whole_and_where_an_agent_goes_around_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(terminal.home))
    own = terminal.home / ".claude.json"
    own.write_text((terminal.home / "clients.json").read_text())
    project = terminal.home / "a project"
    project.mkdir()
    ran = terminal.ok("connect", "claude-code", "--project", str(project))
    undo = next(line for line in ran.out.splitlines() if "--undo" in line).split("undo", 1)[1]
    assert f"tiny also stands in {own}" in ran.err
    assert (project / ".mcp.json").exists()
    terminal.ok(*shlex.split(undo)[1:])
    assert not (project / ".mcp.json").exists()


def test_a_verb_waits_for_another_that_has_the_ward_open(terminal: Terminal) -> None:
    with ThreadPoolExecutor(1) as pool, opened(Place(terminal.ward), ""):
        waiting = pool.submit(terminal.ok, "status", "--json")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)  # control: it does wait
    assert waiting.result(timeout=60).json["ward"] == "ward"


def test_the_light_names_of_a_wards_files_are_the_real_ones() -> None:
    assert (place.CONFIG_FILE, place.STATE_DIRECTORY) == (ward.CONFIG_FILE, ward.STATE_DIRECTORY)
    assert place.PUBLIC_KEY == sqlite.PUBLIC_KEY


def test_every_reason_has_an_exit_code_of_its_own_kind() -> None:
    assert {exit_for(code) for code in ReasonCode} >= set(Exit) - {Exit.OK, Exit.USAGE, Exit.INTERRUPTED}
    assert exit_for("a code of a later version") is Exit.FINDING


def test_no_ward_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = Terminal(tmp_path).run("status", env={"TOOLWARD_WARD": ""})
    assert ran.code == Exit.WARD_INVALID
    assert "toolward init" in ran.err


def test_the_ward_above_the_current_directory_is_found(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(terminal.ward / "policies")
    assert terminal.ok("status", "--json", env={"TOOLWARD_WARD": ""}).json["ward"] == "ward"


def test_no_daemon_is_started_and_nothing_made_where_there_is_no_ward(tmp_path: Path) -> None:
    ran = Terminal(tmp_path).run("stdio", str(tmp_path / "nothing"))
    assert (ran.code, ran.out) == (Exit.WARD_INVALID, "")
    assert "there is no ward at" in ran.err
    assert not (tmp_path / "nothing").exists()


def test_an_error_in_json_mode_is_one_json_value_on_stdout(terminal: Terminal) -> None:
    ran = terminal.run("tools", "show", "tiny/nothing", "--json")
    assert ran.code == Exit.FINDING
    assert ran.json["error"]["code"] == "unknown_tool"


def test_every_verb_answers_help(made: Terminal) -> None:
    for verb in VERBS:
        assert f" {verb} " in made.ok(verb, "--help").out


def corrupt(ward: Path) -> None:
    """Change one letter inside a record, in the database file itself."""
    file = ward / ".toolward" / "toolward.db"
    data = file.read_bytes()
    at = data.index(b'"kind":"tool.approved"')
    file.write_bytes(data[:at] + b'"kind":"tool.approveD"' + data[at + 22 :])
