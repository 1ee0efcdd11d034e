"""What four clients' files become, and that no secret in them ends up in a ward."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from toolward.catalogue import load_catalogue
from toolward.config.clients.importing import ImportContext, ImportPlan, plan_import, workspace_of
from toolward.config.ward import check_ward
from toolward.config.writing import WardPlan, write_ward
from toolward.errors import WardError

GITHUB_TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
SLACK_TOKEN = "xoxb-" + "1234567890-abcdefGHIJKL"
RANDOM = "q8Z3vT0xLm4Kc9Wd2Rb7Yh5N"

CLAUDE_DESKTOP = f"""{{
  "globalShortcut": "Alt+Space",
  "mcpServers": {{
    "filesystem": {{
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/ada/notes", "/home/ada/gone"]
    }},
    "github": {{
      "command": "docker",
      "args": ["run", "-i", "--rm", "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "ghcr.io/github/github-mcp-server"],
      "env": {{"GITHUB_PERSONAL_ACCESS_TOKEN": "{GITHUB_TOKEN}", "LOG_LEVEL": "debug"}}
    }},
    "git": {{"command": "/opt/homebrew/bin/uvx", "args": ["mcp-server-git", "--repository", "/home/ada/notes"]}},
    "sqlite": {{"command": "uvx", "args": ["mcp-server-sqlite", "--db-path", "/home/ada/x.db"]}},
    "off": {{"command": "npx", "args": ["-y", "left-pad"], "disabled": true}}
  }}
}}
"""
CLAUDE_CODE = f"""{{
  "mcpServers": {{
    "Team API": {{
      "type": "http",
      "url": "${{API_BASE:-https://api.example.com}}/mcp?token={RANDOM}&page=2",
      "headers": {{"Authorization": "Bearer ${{API_TOKEN}}", "X-Team": "blue"}}
    }},
    "slack": {{"command": "npx", "args": ["-y", "slack-mcp@1.2.3", "--token={SLACK_TOKEN}", "--mode", "read"]}},
    "time": {{"type": "stdio", "command": "python", "args": ["-m", "mcp_server_time"], "env": {{"TZ": "${{TZ}}"}}}},
    "db": {{"command": "./serve.py", "args": ["postgresql://ada:hunter2@db/prod?sslmode=require"]}}
  }}
}}
"""
CURSOR = f"""{{
  "mcpServers": {{
    "search": {{"url": "https://ada:hunter2@search.example.com/mcp", "headers": {{"X-Api-Key": "{RANDOM}"}}}},
    "search 2": {{"url": "https://search.example.com/s/{RANDOM}/mcp"}},
    "local": {{"command": "${{workspaceFolder}}/bin/serve", "args": [], "env": {{"KEY": "${{env:LOCAL_KEY}}"}}}}
  }}
}}
"""
VS_CODE = """{
  // servers of this project
  "inputs": [{"type": "promptString", "id": "perplexity-key", "password": true}],
  "servers": {
    "perplexity": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "server-perplexity-ask"], /* the newest */
      "env": {"PERPLEXITY_API_KEY": "${input:perplexity-key}"},
    },
    "remote": {"type": "http", "url": "https://mcp.example.com/", "headers": {"Authorization": "Bearer ${input:other}"}},
    "old": {"type": "sse", "url": "https://old.example.com/sse"},
  },
}
"""
SAMPLES = {
    "claude_desktop_config.json": CLAUDE_DESKTOP,
    "proj/.mcp.json": CLAUDE_CODE,
    "proj/.cursor/mcp.json": CURSOR,
    "proj/.vscode/mcp.json": VS_CODE,
}


def imported(name: str, **environ: str) -> ImportPlan:
    return plan_import(
        SAMPLES[name],
        file=name,
        context=ImportContext(
            environ=environ,
            home="/home/ada",
            workspace=workspace_of(PurePath("/home/ada") / name),
            known=load_catalogue().packages(),
            resolve_version=lambda kind, name: "9.9.9" if name == "server-perplexity-ask" else "",
            is_directory=lambda path: path == "/home/ada/notes",
        ),
    )


def test_claude_desktop_runners_become_pinned_packages_with_their_directories_as_roots() -> None:
    plan = imported("claude_desktop_config.json")
    files, github, git, sqlite = plan.servers.values()
    assert files.package == "npm:@modelcontextprotocol/server-filesystem@2026.8.31"
    assert files.arguments == ("/home/ada/notes", "/home/ada/gone")
    assert files.roots == ("/home/ada/notes",)
    assert (git.package, git.roots) == ("pypi:mcp-server-git==2026.10.19", ("/home/ada/notes",))
    assert sqlite.constraints == ("mcp<2",)
    assert github.command == "docker"
    assert github.env == {
        "GITHUB_PERSONAL_ACCESS_TOKEN": "${secret:GITHUB_GITHUB_PERSONAL_ACCESS_TOKEN}",
        "LOG_LEVEL": "debug",
    }
    assert plan.found_secrets == {"GITHUB_GITHUB_PERSONAL_ACCESS_TOKEN": GITHUB_TOKEN}
    assert plan.skipped == ("off",)
    assert "`off` is left out: it is disabled there" in plan.notes


def test_claude_code_variables_are_filled_in_and_what_is_unset_becomes_a_missing_secret() -> None:
    plan = imported("proj/.mcp.json", TZ="UTC")
    api = plan.servers["team-api"]
    assert plan.names["team-api"] == "Team API"
    assert api.url == "https://api.example.com/mcp?token=${secret:TEAM_API_TOKEN}&page=2"
    assert api.headers == {"Authorization": "Bearer ${secret:TEAM_API_API_TOKEN}", "X-Team": "blue"}
    assert plan.missing_secrets == ("TEAM_API_API_TOKEN",)
    slack = plan.servers["slack"]
    assert slack.package == "npm:slack-mcp@1.2.3"
    assert slack.arguments == ("--token=${secret:SLACK_TOKEN}", "--mode", "read")
    assert plan.servers["time"].package == "pypi:mcp-server-time==2026.10.19"
    assert plan.servers["time"].env == {"TZ": "UTC"}
    db = plan.servers["db"]
    assert (db.command, db.arguments, db.cwd) == ("./serve.py", ("${secret:DB_VALUE}",), "/home/ada/proj")
    assert plan.found_secrets["SLACK_TOKEN"] == SLACK_TOKEN
    given = imported("proj/.mcp.json", TZ="UTC", API_TOKEN="tok-1")
    assert given.servers["team-api"].headers["Authorization"] == "${secret:TEAM_API_AUTHORIZATION}"
    assert given.found_secrets["TEAM_API_AUTHORIZATION"] == "Bearer tok-1"
    assert given.missing_secrets == ()


def test_cursor_credentials_leave_urls_and_headers() -> None:
    plan = imported("proj/.cursor/mcp.json", LOCAL_KEY="k-local-1")
    search = plan.servers["search"]
    assert search.url == "https://search.example.com/mcp"
    assert search.headers == {
        "Authorization": "${secret:SEARCH_AUTHORIZATION}",
        "X-Api-Key": "${secret:SEARCH_X_API_KEY}",
    }
    assert plan.found_secrets["SEARCH_AUTHORIZATION"] == "Basic YWRhOmh1bnRlcjI="
    assert plan.servers["search-2"].url == "https://search.example.com/s/${secret:SEARCH_2_URL_PATH}/mcp"
    local = plan.servers["local"]
    assert local.command == "/home/ada/proj/bin/serve"
    assert local.env == {"KEY": "${secret:LOCAL_KEY}"}
    assert local.roots == ("/home/ada/proj",)


def test_vs_code_inputs_become_missing_secrets_and_comments_are_read_over() -> None:
    plan = imported("proj/.vscode/mcp.json")
    perplexity = plan.servers["perplexity"]
    assert perplexity.package == "npm:server-perplexity-ask@9.9.9"
    assert perplexity.env == {"PERPLEXITY_API_KEY": "${secret:PERPLEXITY_PERPLEXITY_KEY}"}
    assert plan.servers["remote"].headers == {"Authorization": "Bearer ${secret:REMOTE_OTHER}"}
    assert plan.missing_secrets == ("PERPLEXITY_PERPLEXITY_KEY", "REMOTE_OTHER")
    assert plan.skipped == ("old",)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_secret_is_in_the_written_ward_nor_in_anything_that_is_printed(tmp_path: Path, name: str) -> None:
    plan = imported(name, API_TOKEN="tok-very-secret-1", LOCAL_KEY="k-local-secret", TZ="UTC")
    write_ward(tmp_path, WardPlan(name="demo", servers=plan.servers))
    assert check_ward(tmp_path) == []
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    secrets = [GITHUB_TOKEN, SLACK_TOKEN, RANDOM, "hunter2", "tok-very-secret-1", "k-local-secret"]
    present = [secret for secret in secrets if secret in SAMPLES[name]]
    for text in (written, repr(plan), "\n".join(plan.notes)):
        assert [secret for secret in (*secrets, *plan.found_secrets.values()) if secret in text] == []
    kept = "".join(plan.found_secrets.values())
    assert all(secret in kept or "hunter2" in secret for secret in present)


@pytest.mark.parametrize(
    ("command", "args", "package", "entry", "rest"),
    [
        ("uvx", ["mcp-server-git==1.2"], "pypi:mcp-server-git==1.2", "", ()),
        ("uvx", ["thing@3.1", "--x"], "pypi:thing==3.1", "", ("--x",)),
        ("uvx", ["--from", "awslabs.aws-documentation-mcp-server==1.0", "other"], "pypi:awslabs.aws-documentation-mcp-server==1.0", "other", ()),
        ("uvx", ["--python", "3.12", "--with", "x<2", "thing[cli]==1", "run"], "pypi:thing[cli]==1", "", ("run",)),
        ("uv", ["tool", "run", "thing==1"], "pypi:thing==1", "", ()),
        ("pipx", ["run", "--spec", "thing==1", "thing"], "pypi:thing==1", "", ()),
        ("npx", ["-y", "@s/n@1.2.3", "a"], "npm:@s/n@1.2.3", "", ("a",)),
        ("npx.cmd", ["--yes", "--package=@s/n@1.2.3", "prog"], "npm:@s/n@1.2.3", "prog", ()),
        ("cmd", ["/c", "npx", "-y", "n@1.2.3"], "npm:n@1.2.3", "", ()),
        ("npx", ["-y", "n@latest"], "npm:n@7.7.7", "", ()),
        ("uvx", ["thing>=2"], "pypi:thing==7.7.7", "", ()),
        ("uvx", ["--index-url", "https://x/", "thing==1"], "", "", ("--index-url", "https://x/", "thing==1")),
        ("uvx", ["git+https://h/x"], "", "", ("git+https://h/x",)),
        ("npx", ["-y", "github:a/b"], "", "", ("-y", "github:a/b")),
        ("uvx", ["unknown"], "", "", ("unknown",)),
        ("uvx", [], "", "", ()),
        ("python3", ["-m", "not_known"], "", "", ("-m", "not_known")),
        ("node", ["server.js"], "", "", ("server.js",)),
    ],
)  # fmt: skip
def test_runners_are_turned_into_packages_only_when_all_of_it_is_understood(
    command: str, args: list[str], package: str, entry: str, rest: tuple[str, ...]
) -> None:
    import json

    plan = plan_import(
        json.dumps({"mcpServers": {"s": {"command": command, "args": args}}}),
        file="x",
        context=ImportContext(
            known=load_catalogue().packages(), resolve_version=lambda _, n: "" if n == "unknown" else "7.7.7"
        ),
    )
    server = plan.servers["s"]
    assert (server.package, server.entry, server.arguments) == (package, entry, rest)
    assert server.command == ("" if package else command)


def test_a_range_is_handed_to_the_version_hook_as_it_stands() -> None:
    asked: list[tuple[str, str]] = []

    def resolve(kind: str, name: str) -> str:
        asked.append((kind, name))
        return "2.5"

    plan_import(
        '{"mcpServers": {"s": {"command": "uvx", "args": ["thing>=2,<3"]}}}',
        file="x",
        context=ImportContext(resolve_version=resolve),
    )
    assert asked == [("pypi", "thing>=2,<3")]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("{", 1, "a text is not closed, or a key"),
        ('{\n "mcpServers": {\n  "a": {"command": "x",, }\n }\n}', 3, "a key is not in double quotes"),
        ('{"mcpServers": {\n"a": {"command": "x"}\n"b": {}}}', 3, "a comma or a closing brace"),
        ('{"mcpServers": {"a": {}, \n"a": {}}}', 2, "a second time"),
        ('{"mcpServers": {\n"a": {"args": []}}}', 2, "neither `command` nor `url`"),
        ('{"mcpServers": {\n"a": 1}}', 2, "`a` is not an object"),
        ('{"mcpServers": {\n"a": {"command": "x", "args": "y"}}}', 2, "`args` of `a`"),
        ('{"mcpServers": {\n"a": {"command": "x", "env": {"A": []}}}}', 2, "`env.A` of `a`"),
        ("{}", 1, "no mcp servers"),
        ("[]", 1, "no mcp servers"),
        ("", 1, "a value is missing"),
        ("[" * 200, 1, "nested more than"),
        ("1" * 5000, 1, "a number is too long"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(WardError) as caught:
        plan_import(text, file="mcp.json", context=ImportContext())
    assert (caught.value.file, caught.value.line) == ("mcp.json", line)
    assert says in caught.value.reason.text
    assert caught.value.reason.remedy
