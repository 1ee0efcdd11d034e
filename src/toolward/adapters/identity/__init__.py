"""Who is it: keys whose digests the store holds, and the operating system's users."""

from __future__ import annotations

from toolward.adapters.identity.keys import KeyIdentity, credential_body, credential_key

__all__ = ["KeyIdentity", "credential_body", "credential_key"]
