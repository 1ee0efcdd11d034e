"""Whether a configured value has to be kept out of files."""

from __future__ import annotations

import pytest

from toolward.rules.secret_looks import is_placeholder, looks_secret


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "abc"),
        ("apiKey", "zzz"),
        ("DB_PASSWORD", "1234"),
        ("Authorization", "anything"),
        ("X-Api-Key", "k"),
        ("FOO", "ghp_" + "a" * 10),
        ("FOO", "sk-" + "proj-1"),
        ("", "eyJhbGciOiJIUzI1NiJ9.e30.x"),
        ("", "postgres://ada:pw@host/db"),
        ("CONNECTION", "q8Z3vT0xLm4Kc9Wd2Rb7Yh5N"),
        ("", "0f3b9c1e7d5a48260b9e7c3d1f5a8264"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ],
)
def test_secrets_are_known_by_name_prefix_or_randomness(name: str, value: str) -> None:
    assert looks_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "debug"),
        ("MAX_TOKENS", "4096"),
        ("TOKEN_LIMIT", "4096"),
        ("TOKEN_CACHE", "true"),
        ("KEY_PATH", "/home/ada/.ssh/id_ed25519"),
        ("DATABASE_URL", "sqlite:///data.db"),
        ("", "/home/ada/projects/2026/something-long"),
        ("", "--repository"),
        ("", "mcp-server-git-2026-edition"),
        ("", "@modelcontextprotocol/server-filesystem@2026.8.31"),
        ("", "https://api.example.com/v1/mcp"),
        ("API_KEY", ""),
        ("API_KEY", "<YOUR_API_KEY>"),
        ("API_KEY", "your-api-key-here"),
    ],
)
def test_settings_paths_and_placeholders_are_not_secrets(name: str, value: str) -> None:
    assert not looks_secret(name, value)


@pytest.mark.parametrize("text", ["<token>", "xxxx", "****", "your_key", "CHANGEME", "[key]", "..."])
def test_placeholders_are_known(text: str) -> None:
    assert is_placeholder(text)
