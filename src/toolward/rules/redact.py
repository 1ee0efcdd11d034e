"""Known secrets out of what leaves and what is written down."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

REDACTED = b"[redacted]"
CHARS_MIN = 6
"""A shorter secret would be found everywhere; `toolward check` asks for longer ones."""


def redact(body: bytes, secrets: Iterable[str]) -> tuple[bytes, int]:
    """`body` (JSON or text) without the values in `secrets`, and how many places were changed.

    A secret is looked for as it is and as JSON writes it.
    """
    found = 0
    for secret in secrets:
        if len(secret) < CHARS_MIN:
            continue
        for form in {secret.encode(), orjson.dumps(secret)[1:-1]}:
            count = body.count(form)
            if count:
                found += count
                body = body.replace(form, REDACTED)
    return body, found
