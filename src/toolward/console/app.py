"""The approval page as an ASGI application, mounted at `/approvals` beside the doors.

A person is a browser that was signed in by a one-time link, or shows a person's credential as a bearer token
for the JSON twin. What can be seen and done is decided by the verbs of the desk; the page adds nothing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from toolward.config.limits import BROWSER_S
from toolward.console import pages
from toolward.console.news import News
from toolward.console.requests import Answer, Seen, json_answer, redirect, seen
from toolward.console.views import approval_view, list_view
from toolward.doors.admin import status_of
from toolward.doors.mcp.boundary import HostGuard
from toolward.doors.mcp.wire import Receive, Refusal, Scope, Send
from toolward.errors import CallerError, Denied, Reason, Rejected, ToolwardError
from toolward.errors import ReasonCode as Code
from toolward.governance.links import Browser, Links
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.identity import Credentials, Identity

ROOT: Final = "/approvals"
NOTE_CHARS_MAX: Final = 2_000
EVERY: Final = {"state": "", "limit": 200}
Ask = Callable[[str, Mapping[str, Any], Principal], Awaitable[Any]]
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_VERDICTS: Final = {"approve": "approvals.approve", "refuse": "approvals.refuse"}


class Rooms(Struct, frozen=True, kw_only=True):
    """What the pages need of the house."""

    ask: Ask  # a verb of the desk, its parameters, and who asks
    identity: Identity
    links: Links
    news: News
    clock: Clock
    failed_sign_in: Callable[[Reason, str], Awaitable[None]]
    ward: str
    secure: bool  # whether browsers reach it by https


class Console:
    """ASGI application."""

    def __init__(self, rooms: Rooms, guard: HostGuard) -> None:
        self._rooms = rooms
        self._guard = guard
        self._cookie = "__Host-toolward" if rooms.secure else "toolward"

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is one of the pages'."""
        return path in (ROOT, f"{ROOT}.json") or path.startswith(f"{ROOT}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request; every failure is a page that says what to do next."""
        as_json = False
        try:
            it = seen(scope, receive, root=ROOT, guard=self._guard)
            as_json = it.wants_json
            if it.path == "events":
                await self._events(it, send)
                return
            answer = await self._answer(it)
        except Refusal as refusal:
            answer = self._refused(refusal.status, refusal.reason, as_json=as_json)
        except ToolwardError as error:
            answer = self._refused(status_of(error), error.reason, as_json=as_json)
        except Exception:
            reason = Reason(
                code=Code.INTERNAL, text="the gateway failed", remedy="see `.toolward/daemon.log` in the ward"
            )
            answer = self._refused(HTTPStatus.INTERNAL_SERVER_ERROR, reason, as_json=as_json)
            await answer.send(send)
            raise
        await answer.send(send)

    async def _answer(self, it: Seen) -> Answer:
        first, _, rest = it.path.partition("/")
        if it.method == "GET" and first == "static":
            return pages.asset(rest) or self._not_found(it)
        if it.path == "sign-in":
            return await (self._sign_in(it) if it.method == "POST" else self._confirm(it))
        browser = await self._browser(it)
        if browser is None:
            return self._sign_in_first(it)
        if it.method == "POST":
            return await self._post(it, browser, first, rest)
        if it.method != "GET":
            reason = Reason(code=Code.UNKNOWN_METHOD, text="pages are read and posted to")
            raise Refusal(reason, status=HTTPStatus.METHOD_NOT_ALLOWED)
        if not it.path:
            return await self._list(it, browser)
        if not rest and _ID.match(first):
            return await self._one(it, browser, first)
        return self._not_found(it)

    # --- pages -------------------------------------------------------------------------------------

    async def _list(self, it: Seen, browser: Browser) -> Answer:
        rows = await self._rooms.ask("approvals.list", EVERY, browser.principal)
        if it.wants_json:
            return json_answer(rows)
        return self._page("list.html", browser, **list_view(rows, self._rooms.clock.now_ns()))

    async def _one(
        self,
        it: Seen,
        browser: Browser,
        approval: str,
        problem: Reason | None = None,
        *,
        granting: bool = False,
    ) -> Answer:
        """`problem` is of an answer that was not taken; with `granting`, of the grant that came with one."""
        try:
            # a part of the page that is refreshed shows no preview, and each preview is a call of its own
            parameters = {"approval": approval, "preview": b"hx-request" not in it.headers}
            row = await self._rooms.ask("approvals.show", parameters, browser.principal)
        except Denied as error:
            raise Refusal(error.reason, status=HTTPStatus.NOT_FOUND) from error
        if it.wants_json:
            return json_answer(row)
        view = approval_view(row, browser.principal, self._rooms.clock.now_ns())
        return self._page("approval.html", browser, it=view, problem=problem, granting=granting)

    async def _post(self, it: Seen, browser: Browser, first: str, verdict: str) -> Answer:
        form = await it.form()
        if not hmac.compare_digest(form.get("token", "").encode(), browser.form_token.encode()):
            reason = Reason(
                code=Code.FOREIGN_ORIGIN,
                text="the form is not of this sign-in",
                remedy="load the page again, and answer there",
            )
            raise Refusal(reason, status=HTTPStatus.FORBIDDEN)
        if it.path == "sign-out":
            await self._rooms.links.end(it.cookie(self._cookie), browser.principal)
            return redirect(ROOT, self._set_cookie("", 0))
        if verdict not in _VERDICTS or not _ID.match(first):
            return self._not_found(it)
        return await self._vote(it, browser, first, _VERDICTS[verdict], form)

    async def _vote(
        self, it: Seen, browser: Browser, approval: str, verb: str, form: Mapping[str, str]
    ) -> Answer:
        note = form.get("note", "").replace("\r\n", "\n").strip()[:NOTE_CHARS_MAX]
        parameters: dict[str, Any] = {"approval": approval, "note": note}
        granting = False
        try:
            await self._rooms.ask(verb, parameters, browser.principal)
            granting = verb == _VERDICTS["approve"] and bool(form.get("grant"))
            if granting:
                like: dict[str, Any] = {"approval": approval, "session": True, "note": note}
                await self._rooms.ask("grants.make", like, browser.principal)
        except ToolwardError as error:
            page = await self._one(it, browser, approval, error.reason, granting=granting)
            return Answer(body=page.body, status=status_of(error), media=page.media)
        return redirect(f"{ROOT}/{approval}")

    async def _events(self, it: Seen, send: Send) -> None:
        browser = await self._browser(it)
        if browser is None or it.method != "GET" or self._rooms.news.crowded:
            status = HTTPStatus.SERVICE_UNAVAILABLE if browser else HTTPStatus.UNAUTHORIZED
            await Answer(status=status).send(send)
            return
        await self._rooms.news.stream(it.receive, send, holds=lambda: self._known(it) is not None)

    # --- who ---------------------------------------------------------------------------------------

    def _known(self, it: Seen) -> Browser | None:
        return self._rooms.links.browser(it.cookie(self._cookie), self._rooms.identity)

    async def _browser(self, it: Seen) -> Browser | None:
        """Who looks: by cookie, or for the JSON twin by a person's bearer token."""
        scheme, _, token = it.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or it.method != "GET":
            return self._known(it)
        try:
            principal = self._rooms.identity.authenticate(Credentials(bearer=token.strip()))
            if not principal.is_person:
                raise Rejected(
                    "the pages are for people, not for an agent's key",
                    code=Code.UNAUTHENTICATED,
                    remedy="show a person's credential",
                )
        except CallerError as error:
            await self._rooms.failed_sign_in(error.reason, "console")
            raise
        return Browser(principal=principal, form_token="", expires_ns=0)

    def _sign_in_first(self, it: Seen) -> Answer:
        reason = Reason(
            code=Code.UNAUTHENTICATED,
            text="nobody is signed in here",
            remedy="run `toolward approvals open` and follow the link",
        )
        if it.wants_json:
            return self._refused(HTTPStatus.UNAUTHORIZED, reason, as_json=True)
        body = self._render("sign_in_first.html", again=it.from_elsewhere and it.method == "GET")
        return Answer(body=body, status=HTTPStatus.UNAUTHORIZED)

    async def _confirm(self, it: Seen) -> Answer:
        """Whose link it is. It is used up only by the button, since previews of links follow them, too."""
        token, then = it.query.get("token", ""), it.query.get("next", "")
        owner = await self._tried(lambda: self._rooms.links.owner(token, self._rooms.identity))
        then = then if _ID.match(then) else ""
        return Answer(body=self._render("sign_in.html", owner=owner, token=token, then=then))

    async def _sign_in(self, it: Seen) -> Answer:
        form = await it.form()
        token, then = form.get("token", ""), form.get("next", "")
        await self._tried(lambda: self._rooms.links.owner(token, self._rooms.identity))
        cookie = await self._rooms.links.redeem(token, self._rooms.identity)
        path = f"{ROOT}/{then}" if _ID.match(then) else ROOT
        return redirect(path, self._set_cookie(cookie, BROWSER_S))

    async def _tried(self, look: Callable[[], Principal]) -> Principal:
        try:
            return look()
        except CallerError as error:
            await self._rooms.failed_sign_in(error.reason, "console")
            raise

    def _set_cookie(self, value: str, seconds: int) -> tuple[bytes, bytes]:
        # `__Host-` wants the whole site as path; without TLS the pages' own will do
        place = "Path=/; Secure" if self._rooms.secure else f"Path={ROOT}"
        text = f"{self._cookie}={value}; {place}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        return (b"set-cookie", text.encode("ascii"))

    # --- rendering ---------------------------------------------------------------------------------

    def _page(self, template: str, browser: Browser, **context: Any) -> Answer:
        return Answer(body=self._render(template, browser=browser, **context))

    def _render(self, template: str, **context: Any) -> bytes:
        return pages.render(template, **{"browser": None, "ward": self._rooms.ward, **context})

    def _not_found(self, it: Seen) -> Answer:
        reason = Reason(
            code=Code.UNKNOWN_METHOD, text="there is no such page", remedy="see the list of approvals"
        )
        return self._refused(HTTPStatus.NOT_FOUND, reason, as_json=it.wants_json)

    def _refused(self, status: int, reason: Reason, *, as_json: bool) -> Answer:
        if as_json:
            return json_answer({"error": reason.as_json()}, status)
        return Answer(body=self._render("refused.html", reason=reason), status=status)
