"""Reading what a tool wrote: it may have planted links, pipes and devices for us."""

from __future__ import annotations

import os
import stat

from toolward.adapters.sandboxes.cage.kernel import open_beneath, open_plain
from toolward.errors import ReasonCode, ToolFailed


def read_result(directory: str, name: str, *, bytes_max: int) -> bytes:
    """The bytes of the regular file `name`, relative to and beneath the absolute `directory`.

    No link of any kind is followed, no mount is crossed, and nothing that is not a regular file is opened for
    reading. Raises `ToolFailed`.
    """
    try:
        top = open_plain(directory, flags=os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise _refused(name, f"its directory can not be opened ({error.strerror})") from error
    try:
        # O_NONBLOCK: opening a pipe that the tool left must not wait for a writer.
        fd = open_beneath(top, name, flags=os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, one_filesystem=True)
    except OSError as error:
        raise _refused(
            name, f"it is missing, a link, or not beneath its directory ({error.strerror})"
        ) from error
    finally:
        os.close(top)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _refused(name, "it is not a regular file")
    with open(fd, "rb") as file:
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ToolFailed(
            f"the result `{name}` has more than {bytes_max} bytes",
            code=ReasonCode.OUTPUT_TOO_LARGE,
            remedy="have the tool write less, or raise its `output_bytes`",
        )
    return data


def _refused(name: str, why: str) -> ToolFailed:
    return ToolFailed(
        f"the result `{name}` was not read: {why}",
        code=ReasonCode.BAD_OUTPUT,
        remedy="see what the tool does",
    )
