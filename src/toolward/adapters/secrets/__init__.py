"""Where secrets are kept: environment, a file, or the operating system's keyring."""

from __future__ import annotations

from toolward.adapters.secrets.providers import EnvironmentSecrets, FileSecrets, KeyringSecrets

__all__ = ["EnvironmentSecrets", "FileSecrets", "KeyringSecrets"]
