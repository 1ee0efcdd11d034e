"""Every limit, with its name, its unit last, and its reason."""

from __future__ import annotations

from typing import Final

# --- admit -------------------------------------------------------------------------------------------
CALL_BYTES_MAX: Final = 4 * 1024 * 1024
"""One request body; the MCP SDK's own server takes 4 MiB."""
CALL_DEPTH_MAX: Final = 64
"""Nesting of arguments; well below the policy engine's and every upstream parser's recursion limit."""
CALL_NODES_MAX: Final = 50_000
"""Values in one request; bounds what labelling and policy may cost."""
INTEGER_MAX: Final = 2**63 - 1
"""Cedar's Long, and what most upstream languages hold."""
INTEGER_MIN: Final = -(2**63)

# --- sessions ----------------------------------------------------------------------------------------
SESSION_IDLE_S: Final = 30 * 60
"""How long (credential, client instance) stays one session."""
SESSIONS_MAX: Final = 10_000
"""Sessions kept in memory at once; each costs a few kilobytes."""

# --- execution ---------------------------------------------------------------------------------------
CALLS_IN_FLIGHT_MAX: Final = 1_024
"""Past this a call is refused at once rather than queued without bound."""
UPSTREAM_TIMEOUT_MS: Final = 60_000
"""One call, where the manifest says nothing; what MCP clients wait by default."""
UPSTREAM_START_MS: Final = 60_000
"""From starting a server to its first answer; a first installation of a package has its own limit."""
OUTPUT_BYTES_MAX: Final = 4 * 1024 * 1024
"""One result, where the manifest says nothing."""
UPSTREAM_CONNECTIONS_MAX: Final = 128
"""Pooled connections to one HTTP upstream."""
RESTART_BACKOFF_MS: Final = (100, 500, 2_000, 10_000, 30_000)
"""Waits before a dead stdio server is started again; the last one repeats."""
DEFINITION_AGE_MAX_S: Final = 300
"""How old the last comparison of a server's definitions may be before a call waits for a new one,
for every effect but `read_only` (which waits for nothing and is checked on the schedule)."""

# --- audit -------------------------------------------------------------------------------------------
COMMIT_BATCH_MAX: Final = 512
"""Records in one group commit; past this latency grows and throughput does not."""
COMMIT_QUEUE_MAX: Final = 8_192
"""Records waiting for the writer; past this callers are refused, never dropped."""

# --- lineage -----------------------------------------------------------------------------------------
LINEAGE_VALUES_MAX: Final = 20_000
"""Distinct leaf values remembered for one session; past this the session's taint alone counts."""
LINEAGE_VALUE_CHARS_MIN: Final = 4
"""Shorter values are seen everywhere and prove nothing."""
LINEAGE_VALUE_CHARS_MAX: Final = 4_096
"""Longer leaves are remembered by their first characters only."""
