"""What the operator may set at the MCP door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.config.limits import APPROVAL_HOLD_S, CALL_BYTES_MAX, SESSION_IDLE_S, SESSIONS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class McpDoorSettings:
    """Everything has a safe default but the key.

    `state_key` (32 bytes, kept with the ward's other keys) seals the `requestState` of the stateless era.
    `allowed_hosts` are names without port that the `Host` header may carry beside the loopback names,
    which hold only while `loopback` is true (set it if and only if every TCP listener is bound to loopback).
    `allowed_origins` are whole origins (`https://app.example`) of web pages that may call.
    """

    state_key: bytes
    loopback: bool = True
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    server_info: Mapping[str, Any] = field(default_factory=lambda: {"name": "toolward", "version": "0.1.0"})
    body_bytes_max: int = CALL_BYTES_MAX
    sessions_max: int = SESSIONS_MAX
    session_idle_s: float = SESSION_IDLE_S
    replay_events_max: int = 256
    """Events kept for each session, so that a stream that broke can be resumed."""
    replay_bytes_max: int = 1024 * 1024
    retry_ms: int = 1_000
    """How long a client is asked to wait before it resumes a stream."""
    keepalive_s: float = 15.0
    """An idle stream says something this often, so that proxies keep it open."""
    client_answer_s: float = 300.0
    """How long a question to the client (sampling, elicitation, roots) may stay unanswered."""
    questions_max: int = 32
    """Questions waiting at once in one session; past this a server is flooding its client."""
    state_ttl_s: float = 600.0
    """How long a sealed `requestState` may be shown again."""
    watch_after_s: float = 0.02
    """A stateless call that runs longer than this is watched for its caller going away."""
    approvals_url: str = ""
    """Where the approval page is, without a slash at the end; an approval's own page is one step below."""
    approval_hold_s: float = APPROVAL_HOLD_S
    """How long a call is held for a person, where its client can not be sent to the page at once."""
    approval_progress_s: float = 4.0
    """How often a client that wants progress hears that the call is still held."""
    backlog_max: int = 1_024
    """Notifications waiting for a slow `subscriptions/listen` stream before it is ended."""
