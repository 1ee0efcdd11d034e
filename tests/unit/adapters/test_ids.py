"""Identifiers of the machine's chance: UUIDs of version 7, none of them twice."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

from toolward.adapters.system.ids import SystemIds

MANY = 1_000
"""More than are made of one fetch of chance."""


def test_an_identifier_is_a_uuid_of_version_7_that_begins_with_the_time() -> None:
    ids = SystemIds()
    before_ms = time.time_ns() // 1_000_000
    made = [ids.new() for _ in range(MANY)]
    after_ms = time.time_ns() // 1_000_000
    for text in made:
        name = UUID(text)
        assert str(name) == text
        assert (name.version, name.variant) == (7, RFC_4122)
        assert before_ms <= name.int >> 80 <= after_ms


def test_every_bit_that_is_left_to_chance_is_left_to_chance() -> None:
    ids = SystemIds()
    made = [UUID(ids.new()).int for _ in range(MANY)]
    assert len(set(made)) == MANY
    free = (1 << 76) - 1 & ~(0x3 << 62)
    ever, always = 0, free
    for number in made:
        ever |= number
        always &= number
    assert ever & free == free
    assert always & free == 0
