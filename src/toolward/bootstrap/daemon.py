"""One process that owns a ward and answers for it: on TCP, and on a Unix socket of the user's own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from typing_extensions import override

from toolward.adapters.system.allocator import give_back_large_blocks
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.system.processor import OneProcessor
from toolward.bootstrap import open_house
from toolward.bootstrap.assembly import House
from toolward.bootstrap.comparing import Comparing, run_apart
from toolward.bootstrap.front import Front, front_of
from toolward.bootstrap.refused import absorb_refusals, record_refusal
from toolward.bootstrap.webhooks import outgoing_of
from toolward.config.daemon_file import (
    LOG_FILE,
    DaemonNote,
    is_taken,
    make_socket_directory,
    read_note,
    remove_note,
    socket_path,
    write_note,
)
from toolward.config.processors import use_all
from toolward.config.reading import STATE_DIRECTORY
from toolward.errors import GatewayError, ReasonCode, ToolwardError
from toolward.governance.verify import verify_store
from toolward.kernel.tasks import Background
from toolward.model.incident import IncidentKind

GRACE_S: Final = 10
"""How long a stop waits for calls in flight; who still waits for a tool is told that it may have run."""
ANSWER_S: Final = 5
"""For settling and answering those; what is left then is settled as unknown at the next start."""
KEEP_ALIVE_S: Final = 75
"""Longer than clients and proxies keep idle connections, so that no request meets a closing one."""
BACKLOG: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A daemon that answers."""

    house: House
    url: str
    socket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How the daemon speaks to whoever started it. `trouble` gets a server's name and what is wrong."""

    ready: Callable[[Ready], None] = lambda _: None
    trouble: Callable[[str, str], None] = lambda _server, _text: None
    progress: Callable[[str], None] = lambda _: None


async def run_daemon(
    path: Path, stop: asyncio.Event, *, watch: Watch, host: str = "", port: int | None = None
) -> None:
    """Serve the ward at `path` until `stop` is set. `host` and `port` override `listen`; port 0 is any.

    Raises `WardError` and `GatewayError` for a start that is refused, after writing that down. The process is
    its own: the C library gives large blocks of memory back from now on, and the loop's thread is kept on one
    processor while records are written.
    """
    _ = give_back_large_blocks()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="toolward-aside", initializer=use_all))
    clock, ids = SystemClock(), SystemIds()
    try:
        with OneProcessor(loop) as one:
            async with open_house(
                path, clock=clock, ids=ids, on_progress=watch.progress, on_submit=one.share
            ) as house:
                await absorb_refusals(house)
                listen = house.ward.config.listen
                with _listening(
                    house.ward.state, host or listen.host, listen.port if port is None else port
                ) as it:
                    await _serve(house, it, stop, watch)
    except ToolwardError as error:
        if not is_taken(path / STATE_DIRECTORY):  # else nothing was wrong but the asking
            await record_refusal(path / STATE_DIRECTORY, error, clock=clock, ids=ids)
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listening:
    tcp: socket.socket
    unix: socket.socket
    note: DaemonNote
    loopback: bool


async def _serve(house: House, listening: _Listening, stop: asyncio.Event, watch: Watch) -> None:
    front = front_of(house, loopback=listening.loopback, served_at=listening.note.url)
    server = _Server(_uvicorn_config(front))
    # not the house's own background: what watches may be dropped at once, what settles may not
    watching = Background(lambda error: watch.trouble("", f"{type(error).__name__}: {error}"))
    serving = watching.start(server.serve(sockets=[listening.tcp, listening.unix]))
    try:
        _ = watching.start(_compare(house, watch))
        _ = watching.start(_read_the_log(house, watch))
        _ = watching.start(house.gateway.shed_load())
        _ = watching.start(house.parts.discovery.keep(_telling(watch), partial(house.desk.take_found, None)))
        _ = watching.start(
            house.parts.approvals.watch.run(lambda error: watch.trouble("approvals", error.diagnostics()))
        )
        _ = watching.start(outgoing_of(house, watching).run())
        _ = watching.start(house.parts.safeguards.releases.keep())
        _ = watching.start(house.pruning.run(lambda error: watch.trouble("pruning", error.diagnostics())))
        behaviour = house.parts.watching.behaviour
        behaviour.watch(watching)
        _ = watching.start(
            behaviour.schedule(
                lambda: house.ward.config.watch.contracts_every_s,
                lambda what, error: watch.trouble(what, error.diagnostics()),
            )
        )
        comparing = Comparing(
            desk=house.desk,
            path=house.ward.path,
            every_h=lambda: house.ward.config.watch.compare_fallbacks_h,
            run=run_apart,
        )
        _ = watching.start(
            comparing.keep(lambda tool, error: watch.trouble(f"fallback of {tool}", error.diagnostics()))
        )
        write_note(house.ward.state, listening.note)
        watch.ready(Ready(house=house, url=listening.note.url, socket=listening.note.socket))
        stopping = watching.start(stop.wait())
        await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        remove_note(house.ward.state)
        front.end_streams()
        server.should_exit = True
        _ = watching.start(_interrupt(house))
        await serving
    finally:
        watching.cancel()
        await watching.drain()
        await front.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            await house.gateway.drain()
            await house.background.drain()


async def _interrupt(house: House) -> None:
    """Answer the calls that a stop can not wait for: a broken connection invites a retry."""
    await asyncio.sleep(GRACE_S)
    house.gateway.interrupt()


async def _read_the_log(house: House, watch: Watch) -> None:
    """Verify the whole log once, beside the work: at the start only its newest part was read."""
    store = house.store
    verdict = await asyncio.to_thread(verify_store, store, store.verifier_key())
    if verdict.ok:
        return
    watch.trouble("the audit log", verdict.sentence())
    opened, put = house.parts.incidents.open(
        IncidentKind.INTEGRITY_FAILURE, "log", verdict.sentence(), contained=False
    )
    await store.commit([opened], [put])


def _telling(watch: Watch) -> Callable[[str, ToolwardError], None]:
    """Tells of trouble, and not again while it is the same."""
    told: dict[str, str] = {}

    def report(server: str, error: ToolwardError) -> None:
        text = error.diagnostics()
        if told.get(server) != text:
            told[server] = text
            watch.trouble(server, text)

    return report


async def _compare(house: House, watch: Watch) -> None:
    """Compare every server at once, so that the first calls need not wait, and then on schedule."""
    drift, report = house.parts.drift, _telling(watch)
    await drift.schedule(report)


def _uvicorn_config(front: Front) -> uvicorn.Config:
    from toolward.doors.uvicorn_protocol import DoorProtocol  # noqa: PLC0415 -- with uvicorn's own protocol

    return uvicorn.Config(
        front,
        http=DoorProtocol,
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S + ANSWER_S,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, whose signals are its owner's business."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


@contextlib.contextmanager
def _listening(state: Path, host: str, port: int) -> Iterator[_Listening]:
    """Both sockets, bound; the Unix socket is removed at the end."""
    tcp = _bind_tcp(host, port)
    path = socket_path(state, os.environ)
    try:
        unix = _bind_unix(path)
    except BaseException:
        tcp.close()
        raise
    bound = tcp.getsockname()
    shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    try:
        yield _Listening(
            tcp=tcp,
            unix=unix,
            note=DaemonNote(
                pid=os.getpid(),
                socket=str(path),
                url=f"http://{shown}:{bound[1]}",
                log=_log_of_this_process(state),
            ),
            loopback=ipaddress.ip_address(bound[0].partition("%")[0]).is_loopback,
        )
    finally:
        unix.close()
        tcp.close()
        path.unlink(missing_ok=True)
        note = read_note(state)
        if note is not None and note.pid == os.getpid():
            remove_note(state)


def _log_of_this_process(state: Path) -> str:
    """The ward's log file if this process writes there, as one does that a client started; else ''."""
    log = state / LOG_FILE
    try:
        return str(log) if os.path.samestat(os.fstat(2), log.stat()) else ""
    except OSError:
        return ""


def _bind_tcp(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise GatewayError(
            f"`{host}:{port}` can not be listened on: {error.strerror or error}",
            code=ReasonCode.GATEWAY_UNAVAILABLE,
            remedy="name another port with `toolward up --port N`, or under `listen` in toolward.yaml",
        ) from error
    listener.settimeout(0)
    return listener


def _bind_unix(path: Path) -> socket.socket:
    """The control socket with mode 0600. Whoever holds the ward's lock may remove what a dead daemon left."""
    make_socket_directory(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise GatewayError(
            f"the socket `{path}` can not be made: {error.strerror or error}",
            code=ReasonCode.GATEWAY_UNAVAILABLE,
            remedy="put the ward where sockets can stand, or set XDG_RUNTIME_DIR",
        ) from error
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    listener.settimeout(0)
    return listener
