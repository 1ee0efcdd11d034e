"""Who may knock: Host and Origin (DNS rebinding), media types, and duplicated headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Refusal, malformed
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
Headers = dict[bytes, bytes]
_ONCE = frozenset(
    {
        b"host",
        b"origin",
        b"authorization",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"last-event-id",
    }
)


def fold_headers(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """ASGI's header pairs as a dict. Raises `Refusal` if one that decides something was sent twice.

    A reader of the first copy and a reader of the last one would see two different requests.
    """
    pairs = list(pairs)
    headers = dict(pairs)
    if len(headers) != len(pairs):
        for name, count in Counter(name for name, _ in pairs).items():
            if count > 1 and (name in _ONCE or name.startswith((b"mcp-", b"x-toolward-"))):
                label = name.decode("latin-1")
                if name.startswith(b"mcp-"):
                    raise _header_twice(label)
                raise malformed(f"the header `{label}` was sent twice", remedy="send it once")
    return headers


class HostGuard:
    """Refuses what a web page of somebody else could send to a gateway on this machine."""

    def __init__(self, settings: McpDoorSettings) -> None:
        names = {name.lower() for name in settings.allowed_hosts}
        self._names = frozenset(names | LOOPBACK_NAMES) if settings.loopback else frozenset(names)
        self._origins = settings.allowed_origins
        self._judge = lru_cache(maxsize=256)(self._is_allowed)

    def check(self, headers: Headers) -> None:
        """Raise `Refusal` (403, `foreign_origin`) unless Host, and Origin if there is one, are ours."""
        host, origin = headers.get(b"host", b""), headers.get(b"origin")
        if not self._judge(host, origin):
            what = f"origin `{_shown(origin)}`" if origin else f"host `{_shown(host)}`"
            reason = Reason(
                code=Code.FOREIGN_ORIGIN,
                text=f"requests with {what} are not served",
                remedy="the operator can add it to the allowed hosts or origins",
            )
            raise Refusal(reason, status=403)

    def _is_allowed(self, host: bytes, origin: bytes | None) -> bool:
        name, port = _authority("//" + host.decode("latin-1"))
        if name not in self._names:
            return False
        if origin is None:
            return True
        text = origin.decode("latin-1")
        if text in self._origins:
            return True
        origin_name, origin_port = _authority(text)
        default = 443 if text.startswith("https:") else 80
        return origin_name in self._names and (origin_port or default) == (port or default)


@lru_cache(maxsize=256)
def accepts(accept: bytes | None) -> tuple[bool, bool]:
    """Whether a JSON answer and an event stream are acceptable. No header means anything is."""
    if accept is None:
        return True, True
    types = {part.split(b";")[0].strip().lower() for part in accept.split(b",")}
    anything = b"*/*" in types
    return (
        anything or b"application/json" in types or b"application/*" in types,
        anything or b"text/event-stream" in types or b"text/*" in types,
    )


def check_media_types(headers: Headers) -> bool:
    """Raise `Refusal` (415, 406) for what we can not read or answer; returns whether we may stream."""
    content_type = headers.get(b"content-type", b"")
    if (
        content_type != b"application/json"
        and content_type.split(b";")[0].strip().lower() != b"application/json"
    ):
        raise malformed("the content type is not application/json", status=415)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise malformed("compressed bodies are not read", status=415, remedy="send the body as it is")
    json_ok, stream_ok = accepts(headers.get(b"accept"))
    if not json_ok:
        raise malformed(
            "the answer is application/json, or text/event-stream, and `Accept` has not both", status=406
        )
    return stream_ok


def _authority(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", None


def _shown(value: bytes) -> str:
    return value.decode("latin-1")[:100].replace("`", "'")


def _header_twice(label: str) -> Refusal:
    reason = Reason(
        code=Code.HEADER_MISMATCH, text=f"the header `{label}` was sent twice", remedy="send it once"
    )
    return Refusal(reason, status=400, rpc_code=-32020)
