"""The pages of a whole gateway on fakes: asked in process, or served on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import uvicorn

from tests.approvals_world import ROLES, approval_of, person, sign_up
from tests.harness import WARD, World, open_world
from toolward.bootstrap.front import Front, front_of
from toolward.doors.uvicorn_protocol import DoorProtocol
from toolward.governance.desk import invoke

HERE = "http://127.0.0.1:7420"


@dataclass
class Page:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def header(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name), "")

    def field(self, name: str) -> str:
        """The value of a form's hidden field."""
        return self.text.split(f'name="{name}" value="', 1)[1].split('"', 1)[0]


@dataclass
class Visitor:
    """A browser without a screen: keeps its cookie, and says where its forms come from."""

    front: Front
    cookie: str = ""
    host: str = "127.0.0.1:7420"
    origin: str | None = HERE
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, path: str, *, accept: str = "text/html", **headers: str) -> Page:
        return await self._ask("GET", path, b"", {"accept": accept, **headers})

    async def post(self, path: str, form: Mapping[str, str], **headers: str) -> Page:
        sent = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html", **headers}
        if self.origin is not None:
            sent.setdefault("origin", self.origin)
        return await self._ask("POST", path, urlencode(form).encode(), sent)

    async def sign_in(self, link: str) -> Page:
        parts = urlsplit(link)
        page = await self.get(f"{parts.path}?{parts.query}")
        assert page.status == 200, page.text
        done = await self.post("/approvals/sign-in", {name: page.field(name) for name in ("token", "next")})
        if done.header("set-cookie"):
            self.cookie = done.header("set-cookie").split(";")[0]
        return done

    async def answer(self, approval: str, verdict: str, **form: str) -> Page:
        page = await self.get(f"/approvals/{approval}")
        return await self.post(f"/approvals/{approval}/{verdict}", {"token": page.field("token"), **form})

    async def _ask(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Page:
        path, _, query = target.partition("?")
        sent = {"host": self.host, **({"cookie": self.cookie} if self.cookie else {}), **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
        }
        events: list[Any] = []
        bodies = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return bodies.pop(0) if bodies else {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            events.append(event)

        await self.front(scope, receive, send)
        head = [(name.decode(), value.decode()) for name, value in events[0]["headers"]]
        return Page(events[0]["status"], head, b"".join(each["body"] for each in events[1:]))


@dataclass
class Pages:
    """A world with people, and its front."""

    world: World
    front: Front

    async def link(self, user: str = "alice", **parameters: Any) -> str:
        made = await invoke(self.world.house.desk, "links.make", parameters, person(user))
        return str(made["url"])

    async def visitor(self, user: str = "alice") -> Visitor:
        """Somebody who has signed in."""
        visitor = Visitor(self.front)
        assert (await visitor.sign_in(await self.link(user))).status == 303
        return visitor

    async def asked(self, key: str = "files/wipe", arguments: Mapping[str, Any] | None = None) -> str:
        """A call of alice's agent that waits for her, as its approval's id."""
        session = await self.world.session(objective="tidy up the data directory")
        return approval_of(await self.world.call(session, key, arguments or {"path": "/data/a"}))

    @property
    def ran(self) -> list[str]:
        return [key for key, _, _ in self.world.upstreams.ran]

    def kinds(self) -> list[str]:
        return [record["kind"] for record in self.world.records()]


@asynccontextmanager
async def open_pages(
    folder: Path, *, config: str = "", files: Mapping[str, str] | None = None
) -> AsyncIterator[Pages]:
    """Alice, olga and sven have credentials."""
    ward = {"toolward.yaml": WARD + ROLES + config, **(files or {})}
    async with open_world(folder, files=ward) as world:
        await sign_up(world, "alice", "olga", "sven")
        front = front_of(world.house, loopback=True, served_at=HERE)
        try:
            yield Pages(world, front)
        finally:
            front.end_streams()
            await front.close()


@asynccontextmanager
async def served(pages: Pages) -> AsyncIterator[str]:
    """The same on a real socket; gives its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    pages.world.house.served_at = url
    config = uvicorn.Config(
        pages.front, http=DoorProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
                await asyncio.sleep(0)
        yield url
    finally:
        pages.front.end_streams()
        server.should_exit = True
        await task
