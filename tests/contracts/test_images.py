"""Before-images over a real sandbox: what lay there comes back, and nothing a tool puts there leads elsewhere."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toolward.adapters.images import inside
from toolward.adapters.images.caged import CagedImages
from toolward.adapters.images.inside import TEMPORARY
from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import Denied, ReasonCode, SandboxUnavailable
from toolward.kernel.cages.cages import SharedCages
from toolward.kernel.tasks import Background
from toolward.model.capability import IsolationLevel, Kept
from toolward.ports.images import Changed
from toolward.ports.sandbox import Sandbox

BYTES = 1 << 20


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[CagedImages]:
    try:
        sandbox = await CagedSandbox.open(Settings(tier=IsolationLevel.NAMESPACES, ready=2))
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)

    async def opened() -> Sandbox:
        return sandbox

    async def no_way_out(*_: object) -> None:
        raise AssertionError("a before-image needs no network")

    cages = SharedCages(opened, no_way_out, wasm=opened, background=Background(lambda error: None))  # type: ignore[arg-type]
    ward = tmp_path / "ward"
    ward.mkdir()
    yield CagedImages(cages, kept=lambda: Kept(hidden=(str(ward / ".toolward"),), wards=(str(ward),)))
    await sandbox.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with everything that may be in one."""
    root = tmp_path / "root"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o700)
    (root / "plain").write_text("as it was")
    (root / "deep" / "script").write_text("#!/bin/sh\n")
    (root / "deep" / "script").chmod(0o755)
    (root / "deep" / "er" / "zeros").write_bytes(bytes(100_000))
    (root / "deep" / "link").symlink_to("../plain")
    return root


def tree(root: Path) -> dict[str, str]:
    """The host's own view: kind, mode and content of all below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        mode = oct(path.lstat().st_mode)
        body = path.readlink() if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        found[str(path.relative_to(root))] = f"{mode} {body}"
    return found


async def test_a_tree_that_was_changed_in_every_way_comes_back_as_it_was(
    images: CagedImages, root: Path
) -> None:
    before, within = tree(root), [str(root)]
    image = await images.capture([str(root)], within=within, bytes_max=BYTES)
    (root / "plain").write_text("overwritten")
    (root / "deep" / "script").chmod(0o600)
    (root / "deep" / "link").unlink()
    (root / "deep" / "link").write_text("a file now")
    (root / "empty").rmdir()
    (root / "new" / "below").mkdir(parents=True)
    (root / "new" / "below" / "file").write_text("new")
    (root / "deep" / "er").rename(root / "moved")
    found = await images.look([str(root)], within=within)
    assert found != image.listing, "the control: it is really another tree now"
    assert await images.restore(image, within=within, found=found) == image.listing
    assert tree(root) == before


async def test_a_file_that_was_not_there_goes_away_again_and_its_neighbour_stays(
    images: CagedImages, root: Path
) -> None:
    path, within = str(root / "not" / "yet"), [str(root)]
    image = await images.capture([path], within=within, bytes_max=BYTES)
    assert image.listing == {}
    (root / "not").mkdir()
    (root / "not" / "yet").write_text("there now")
    (root / "not" / "other").write_text("somebody else's")
    found = await images.look([path], within=within)
    await images.restore(image, within=within, found=found)
    assert [path.name for path in (root / "not").iterdir()] == ["other"]


async def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(images: CagedImages, root: Path) -> None:
    within = [str(root)]
    image = await images.capture([str(root)], within=within, bytes_max=BYTES)
    (root / "plain").write_text("the call's")
    found = await images.look([str(root)], within=within)
    (root / "deep" / "script").write_text("somebody else's")
    with pytest.raises(Changed, match="script"):
        await images.restore(image, within=within, found=found)
    assert (root / "plain").read_text() == "the call's", "nothing was touched"


async def test_a_half_done_restore_is_ended_by_asking_again(images: CagedImages, root: Path) -> None:
    before, within = tree(root), [str(root)]
    image = await images.capture([str(root)], within=within, bytes_max=BYTES)
    (root / "plain").write_text("the call's")
    (root / "second").write_text("the call's")
    found = await images.look([str(root)], within=within)
    (root / "plain").write_text("as it was")  # put back by the try that a crash ended, as was
    (root / "deep" / f"{TEMPORARY}0123456789abcdef").write_text("half a fi")
    await images.restore(image, within=within, found=found)
    assert tree(root) == before


@pytest.mark.parametrize("whole", [True, False])
async def test_what_a_crash_left_or_a_tool_planted_is_in_the_way_of_no_restore(
    images: CagedImages, root: Path, *, whole: bool
) -> None:
    within, path = [str(root)], str(root if whole else root / "plain")
    image = await images.capture([path], within=within, bytes_max=BYTES)
    (root / "plain").write_text("the call's")
    found = await images.look([path], within=within)
    mark = hashlib.sha256(b"plain").hexdigest()[:16]
    (root / f"{TEMPORARY}{mark}").write_text("half a fi")
    (root / f"{TEMPORARY}{mark}-0123456789abcdef").write_text("half a fi")
    if not whole:
        other = root / f"{TEMPORARY}{'0' * 16}-0123456789abcdef"
        other.write_text("another restore is at it")
        directory = root / f"{TEMPORARY}{mark}-{'0' * 16}"
        directory.mkdir()
    await images.restore(image, within=within, found=found)
    assert (root / "plain").read_text() == "as it was"
    left = [name for name in tree(root) if name.startswith(TEMPORARY)]
    assert sorted(left) == ([] if whole else sorted((other.name, directory.name))), "only what is its own"


def test_a_restore_that_fails_leaves_nothing_of_its_own(root: Path) -> None:
    path = str(root / "plain")
    places = [[str(root), path]]
    image = inside.take(places, BYTES)
    (root / "plain").write_text("the call's")
    found = inside.take(places, -1)["listing"]
    wanted = {path: image["listing"][path].replace("f 644", "f 77777777777")}
    with pytest.raises(OverflowError):
        inside.put_back(places, wanted, image["contents"], found)
    assert [name for name in tree(root) if name.startswith(TEMPORARY)] == []


async def test_a_directory_that_a_tool_closed_to_writing_comes_back_too(
    images: CagedImages, root: Path
) -> None:
    before, within = tree(root), [str(root)]
    image = await images.capture([str(root)], within=within, bytes_max=BYTES)
    (root / "deep" / "script").write_text("the call's")
    (root / "deep" / "er" / "new").write_text("the call's")
    (root / "deep" / "er").chmod(0o500)
    (root / "deep").chmod(0o500)
    found = await images.look([str(root)], within=within)
    (root / "deep").chmod(0o700)  # as a try that was cut off left it
    await images.restore(image, within=within, found=found)
    assert tree(root) == before


@pytest.mark.parametrize("at", ["path", "above"])
async def test_a_path_that_is_or_leads_through_a_link_is_refused(
    images: CagedImages, root: Path, tmp_path: Path, at: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not yours")
    (root / "trap").symlink_to(outside)
    path = root / "trap" if at == "path" else root / "trap" / "secret"
    with pytest.raises(Denied) as refused:
        await images.capture([str(path)], within=[str(root)], bytes_max=BYTES)
    assert refused.value.reason.code in (ReasonCode.NOT_UNDOABLE, ReasonCode.GRANT_REFUSED)


async def test_a_directory_that_became_a_link_leads_a_restore_nowhere(
    images: CagedImages, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "script").write_text("keep me")
    within, path = [str(root)], str(root / "deep" / "script")
    image = await images.capture([path], within=within, bytes_max=BYTES)
    (root / "deep" / "script").write_text("changed")
    found = await images.look([path], within=within)
    (root / "deep").rename(root / "aside")
    (root / "deep").symlink_to(outside)
    with pytest.raises((Denied, Changed)):
        await images.restore(image, within=within, found=found)
    assert (outside / "script").read_text() == "keep me"


async def test_a_file_that_is_also_another_one_is_replaced_and_not_written_in(
    images: CagedImages, root: Path, tmp_path: Path
) -> None:
    within, path = [str(root)], str(root / "plain")
    image = await images.capture([path], within=within, bytes_max=BYTES)
    (tmp_path / "elsewhere").write_text("keep me")
    (root / "plain").unlink()
    os.link(tmp_path / "elsewhere", root / "plain")
    found = await images.look([path], within=within)
    await images.restore(image, within=within, found=found)
    assert (root / "plain").read_text() == "as it was"
    assert (tmp_path / "elsewhere").read_text() == "keep me"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_what_is_no_file_is_refused_and_not_waited_for(
    images: CagedImages, root: Path, kind: str
) -> None:
    odd = root / "deep" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(odd))
    with pytest.raises(Denied, match="a device, a socket or a pipe"):
        await images.capture([str(root)], within=[str(root)], bytes_max=BYTES)


async def test_too_much_is_refused_and_as_much_as_allowed_is_not(images: CagedImages, root: Path) -> None:
    path, within = str(root / "deep" / "er" / "zeros"), [str(root)]
    assert (await images.capture([path], within=within, bytes_max=100_000)).contents
    with pytest.raises(Denied, match="bytes_max"):
        await images.capture([path], within=within, bytes_max=99_999)


async def test_nothing_outside_the_roots_is_looked_at(
    images: CagedImages, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "rooted").write_text("a name that begins like the root's")
    for path in (tmp_path / "rooted", tmp_path / "ward" / "toolward.yaml"):
        with pytest.raises(Denied, match="outside"):
            await images.look([str(path)], within=[str(root)])


async def test_the_wards_own_files_are_never_part_of_it(images: CagedImages, tmp_path: Path) -> None:
    with pytest.raises(Denied) as refused:
        await images.capture([str(tmp_path / "ward" / "x")], within=[str(tmp_path)], bytes_max=BYTES)
    assert refused.value.reason.code is ReasonCode.GRANT_REFUSED


async def test_a_root_that_holds_the_ward_is_put_back_without_it(images: CagedImages, tmp_path: Path) -> None:
    (tmp_path / "ward" / ".toolward").mkdir()
    (tmp_path / "ward" / "toolward.yaml").write_text("kept")
    (tmp_path / "note").write_text("old")
    within = [str(tmp_path)]
    image = await images.capture([str(tmp_path)], within=within, bytes_max=BYTES)
    assert str(tmp_path / "ward" / "toolward.yaml") not in image.listing
    (tmp_path / "note").write_text("new")
    (tmp_path / "ward" / "toolward.yaml").write_text("changed by a person")
    found = await images.look([str(tmp_path)], within=within)
    await images.restore(image, within=within, found=found)
    assert (tmp_path / "note").read_text() == "old"
    assert (tmp_path / "ward" / "toolward.yaml").read_text() == "changed by a person"
