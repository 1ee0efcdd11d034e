"""Limits of the upstream side, with their units last and their reasons."""

from __future__ import annotations

from typing import Final

HEADER_BYTES_MAX: Final = 64 * 1024
"""Head of one HTTP answer; common servers send below 2 KiB, common proxies refuse past 32 KiB."""
STREAM_BUFFER_BYTES_MAX: Final = 1024 * 1024
"""Bytes of a streamed body held before the connection is told to wait."""
STREAM_PIECE_BYTES: Final = 8 * 1024
"""Of a streamed body that is parsed in one turn of the loop, some 0.2 ms; sockets bring up to 256 KiB."""
CONNECTION_IDLE_S: Final = 4.0
"""How long an unused connection is trusted; uvicorn and Node close theirs after five seconds."""
CONNECT_TIMEOUT_S: Final = 10.0
"""To an accepted connection, TLS included."""
INTERIM_MESSAGES_MAX: Final = 10_000
"""Notifications and requests that may come before one answer."""
INTERIM_WAITING_MAX: Final = 4_096
"""Of those, how many may wait for the caller to take them."""
INTERIM_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of interim messages before one answer, over streamable HTTP."""
LONG_BYTES: Final = 1024
"""A message counts once more for each of these, against the rates below ..."""
WEIGHT_MAX: Final = 64
"""... but no more than so often: one late answer of some MiB is no flood."""
INTERIM_BURST_MAX: Final = 200
"""Messages of running calls, on one link, that are read as fast as they come ..."""
INTERIM_PER_S_MAX: Final = 200
"""... and how many more each second: past this the server has to wait."""
INTERIM_TOGETHER_MAX: Final = 8
"""Messages of one call that are passed on one after the other, some 0.3 ms each, before it waits ..."""
INTERIM_GAP_S: Final = 0.02
"""... for so long: a burst that is allowed is spread over half a second, and other calls run in between."""
STDERR_BURST_BYTES: Final = 1024 * 1024
"""What a child may write to stderr as fast as it can ..."""
STDERR_BYTES_PER_S: Final = 256 * 1024
"""... and how much more each second: only the tail is kept, and reading it costs all other servers time."""
PAUSE_S: Final = 0.05
"""The shortest time for which reading is paused; less is not worth the timer."""
MISSES_MAX: Final = 5
"""Calls in a row that one process lets time out or answers with nonsense, before it is replaced."""
UNSOLICITED_BURST_MAX: Final = 1_000
"""Messages that belong to no call (noise, unknown ids, second answers) taken at once ..."""
UNSOLICITED_PER_S_MAX: Final = 200
"""... and how many more each second; past this the server is flooding and is stopped."""
NOISE_LINES_MAX: Final = 10_000
"""Lines that are no JSON-RPC, over the life of one process; servers print banners and logs."""
LINE_BYTES_MIN: Final = 1024 * 1024
"""A line of this length is always taken, whatever the result limit: definitions are long too."""
LINE_SKIP_BYTES_MAX: Final = 64 * 1024 * 1024
"""How much of an overlong line is thrown away before the process is stopped instead."""
STDIN_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes waiting for a child that does not read."""
STDERR_BYTES_KEPT: Final = 16 * 1024
"""The tail of a child's stderr kept for diagnostics."""
KILL_GRACE_S: Final = 2.0
"""From asking a child to end to killing its group."""
PING_TIMEOUT_S: Final = 5.0
"""How long a server that let a call time out has to show that it still lives."""
PAGES_MAX: Final = 100
"""Pages of one list."""
TOOLS_MAX: Final = 10_000
"""Definitions of one server."""
REQUESTS_OPEN_MAX: Final = 16
"""Questions that one server may have open to callers at a time."""
RETRY_DEFAULT_MS: Final = 1_000
"""Before a broken event stream is taken up again, when the server named no time."""
RETRY_MAX_MS: Final = 30_000
"""The longest wait that a server may impose."""
RESUME_ATTEMPTS_MAX: Final = 3
"""Resumptions in a row that brought nothing."""
STABLE_S: Final = 30.0
"""A process that lived this long is started again without a wait."""
INSTALL_TIMEOUT_S: Final = 600.0
"""One installation of a package."""
