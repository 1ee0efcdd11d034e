"""The secret provider that a ward names."""

from __future__ import annotations

import os
from pathlib import Path

from toolward.adapters.secrets import EnvironmentSecrets, FileSecrets, KeyringSecrets
from toolward.config.shape import SecretProvider, WardConfig


def make_secrets(config: WardConfig, ward: Path) -> EnvironmentSecrets | FileSecrets | KeyringSecrets:
    """The provider that the ward names."""
    match config.secrets.provider:
        case SecretProvider.ENV:
            return EnvironmentSecrets(os.environ)
        case SecretProvider.FILE:
            return FileSecrets(ward / config.secrets.file)
        case SecretProvider.KEYRING:
            return KeyringSecrets()
