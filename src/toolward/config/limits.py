"""Every limit, with its name, its unit last, and its reason."""

from __future__ import annotations

from typing import Final

from toolward.rules.canonical import BYTES_MAX as CALL_BYTES_MAX

__all__ = ["CALL_BYTES_MAX"]

# --- sessions ----------------------------------------------------------------------------------------
SESSION_IDLE_S: Final = 30 * 60
"""How long (credential, client instance) stays one session."""
SESSION_VALUES_MAX: Final = 500_000
"""Values of results that all sessions together remember, about 150 MiB; past this the quietest forget."""
SESSION_CALLS_COUNTED_MAX: Final = 100_000
"""Of one session, when it comes back from the store: past this its budgets see this number."""
PLAN_CHARS_MAX: Final = 8_000
"""Of a declared plan: some hundred steps of a line each."""
SESSIONS_MAX: Final = 10_000
"""Sessions kept in memory at once; each costs a few kilobytes."""

# --- approvals ---------------------------------------------------------------------------------------
APPROVALS_PENDING_EACH_MAX: Final = 100
"""Questions of one session that may wait for people at once: past this an agent floods them."""
APPROVALS_PENDING_CREDENTIAL_MAX: Final = 1_000
"""The same for one credential in all its sessions, since an agent may open many."""
APPROVALS_PENDING_BYTES_MAX: Final = 32 * 1024 * 1024
"""Arguments of one credential's open questions together: each is kept, and shown to a person."""
GRANT_USES_MAX: Final = 10_000
"""Calls that one standing grant may cover."""
GRANT_EXPIRES_MAX_S: Final = 30 * 86_400
"""How long a standing grant may stand."""

# --- execution ---------------------------------------------------------------------------------------
CALLS_IN_FLIGHT_MAX: Final = 1_024
"""Past this a call is refused at once rather than queued without bound."""
CALLS_IN_FLIGHT_EACH_MAX: Final = 256
"""Of those, how many may be one credential's: a busy agent leaves room for the others."""
SERVER_CALLS_MAX: Final = 96
"""Calls of one server at a time, and ..."""
TOOL_CALLS_MAX: Final = 64
"""... of one tool: with as many waiting, a tool that hangs leaves half of a caller's places to others."""
CALLS_QUEUED_MAX: Final = 64
"""Calls that may wait for a place in either."""
QUEUE_WAIT_MS: Final = 2_000
"""How long they may wait: what could not begin within this is better told now than later."""
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
DEFINITION_AGE_WRITES_MAX_S: Final = 30
"""How old the last comparison of definitions may be before a call that writes waits for a new one."""
DEFINITION_AGE_MAX_S: Final = 300
"""How often every server is compared on schedule: how long a change can go unseen by calls that only read."""

APPROVAL_HOLD_S: Final = 20
"""How long a call may be held open for a person: less than the shortest wait of clients in the field."""

SIGN_IN_LINK_S: Final = 5 * 60
"""How long a one-time link to the approval page may lie in a terminal."""
BROWSER_S: Final = 8 * 60 * 60
"""A working day: then a person shows the credential again."""

LINKS_MAX: Final = 256
"""Processes, or legacy sessions, of one server at a time; each session that calls it has its own."""
LINK_QUIET_S: Final = 60
"""A session that sent nothing for so long gives its process away where there are too many."""

# --- resilience (rules/resilience/ says where the numbers are from) -----------------------------------
CIRCUIT_FAILURES: Final = 5
"""Failures in a row that open a circuit, as Envoy's outlier detection has it."""
CIRCUIT_FAILED_PERCENT: Final = 50
"""Of the last twenty calls, that open it too."""
CIRCUIT_OPEN_S: Final = 30
"""How long it stays open the first time; Envoy's base ejection time."""
CIRCUIT_OPEN_MAX_S: Final = 300
"""And however often it opened; Envoy's too."""
RETRIES: Final = 1
"""Of one call, where its effect allows any: an agent that is told tries again by itself."""
RETRY_PERCENT: Final = 20
"""Of a server's calls, that all its retries may come to; Envoy's retry budget."""
LOOP_LAG_MAX_MS: Final = 500
"""How late the gateway's loop may be for half a second on end, before it takes on fewer calls."""

# --- sign-ins ----------------------------------------------------------------------------------------
SIGN_IN_FAILURES_EACH_MAX: Final = 20
"""Failed sign-ins in one window that are recorded one by one; whoever probes has no credential to bound."""
SIGN_IN_WINDOW_S: Final = 60
"""How long such a window is; what was more is recorded as a count when the next one begins."""

# --- audit -------------------------------------------------------------------------------------------
COMMIT_BATCH_MAX: Final = 512
"""Records in one group commit; past this latency grows and throughput does not."""
COMMIT_QUEUE_MAX: Final = 8_192
"""Records waiting for the writer; past this callers are refused, never dropped."""

# --- safeguards --------------------------------------------------------------------------------------
RETRY_WAIT_S: Final = 30
"""How long a retry with an idempotency key waits for the first one's outcome; most clients wait 60 s."""
KEYS_KEPT_S: Final = 30 * 86_400
"""How long a key past its window is still known, so that a very late retry is refused and does not run."""
PRUNE_S: Final = 3_600
"""Between two looks at which rows have been over for so long that they can go."""
FRONTIER_WAIT_S: Final = 20
"""How long a call waits for a resource that another session changed, if its manifest says `serialize`."""
KEPT_RESULT_S: Final = 15 * 60
"""How long the result of a call that was held is kept for the agent's retry."""
RELEASE_AGAIN_S: Final = 30
"""Before a released call that could not run yet (a server away, a resource taken) is asked again."""
