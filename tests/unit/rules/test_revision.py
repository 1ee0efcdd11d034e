"""One digest over everything that decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolward.model.revision import Revision
from toolward.rules.revision import diff_revisions, revision_digest

FILES = st.dictionaries(
    st.text(max_size=8).map(lambda t: t.encode("ascii", "replace").decode()),
    st.binary(max_size=20),
    max_size=4,
)
PINS = st.dictionaries(
    st.sampled_from(["production/git/a", "production/git/b"]),
    st.sampled_from(["sha256:" + "1" * 64, "sha256:" + "2" * 64]),
)


@given(FILES, PINS, FILES, PINS)
def test_two_revisions_share_a_digest_exactly_when_nothing_differs(
    files: dict[str, bytes], pins: dict[str, str], other: dict[str, bytes], others: dict[str, str]
) -> None:
    same = files == other and pins == others
    assert (revision_digest(files, pins) == revision_digest(other, others)) is same
    reordered = dict(reversed(list(files.items())))
    assert revision_digest(reordered, pins) == revision_digest(files, pins)
    lines = diff_revisions(Revision(files=files, pins=pins), Revision(files=other, pins=others))
    assert (lines == ()) is same


def test_the_difference_reads_like_a_diff() -> None:
    old = Revision(
        files={"toolward.yaml": b"version: 1\nprofile: guarded\n", "gone": b""},
        pins={"production/git/log": "sha256:" + "a" * 64, "production/git/add": "sha256:" + "b" * 64},
    )
    new = Revision(
        files={"toolward.yaml": b"version: 1\nprofile: observe\n", "x.bin": b"\xff"},
        pins={"production/git/log": "sha256:" + "c" * 64, "production/git/new": "sha256:" + "d" * 64},
    )
    assert diff_revisions(old, new) == (
        "file gone: is gone",
        "--- a/toolward.yaml",
        "+++ b/toolward.yaml",
        "@@ -1,2 +1,2 @@",
        " version: 1",
        "-profile: guarded",
        "+profile: observe",
        "file x.bin: differs (not text)",
        "pin production/git/add: no longer serves sha256:bbbbbbbbbbbb",
        "pin production/git/log: sha256:aaaaaaaaaaaa -> sha256:cccccccccccc",
        "pin production/git/new: now serves sha256:dddddddddddd",
    )
