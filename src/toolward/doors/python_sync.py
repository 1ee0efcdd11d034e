"""The Python face for code without an event loop: one loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from toolward.doors.python import WAIT_S, OpenWard, Result, WardSession
from toolward.errors import Pending
from toolward.kernel.objectives.conduct import Ended

T = TypeVar("T")


class SyncSession:
    """`WardSession` for code without an event loop."""

    def __init__(self, session: WardSession, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._session = session
        self._run = run

    def list_tools(self) -> list[Mapping[str, Any]]:
        """See `WardSession.list_tools`."""
        found: list[Mapping[str, Any]] = self._run(self._session.list_tools())
        return found

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None, /, **named: Any) -> Result:
        """See `WardSession.call`."""
        result: Result = self._run(self._session.call(tool, arguments, **named))
        return result

    def call_once(self, key: str, tool: str, arguments: Mapping[str, Any] | None = None) -> Result:
        """See `WardSession.call_once`."""
        result: Result = self._run(self._session.call_once(key, tool, arguments))
        return result

    def seal(self) -> Mapping[str, Any]:
        """See `WardSession.seal`."""
        sealed: Mapping[str, Any] = self._run(self._session.seal())
        return sealed

    def held(self) -> list[Mapping[str, Any]]:
        """See `WardSession.held`."""
        found: list[Mapping[str, Any]] = self._run(self._session.held())
        return found

    def cancel(self, escrow_id: str, why: str = "") -> None:
        """See `WardSession.cancel`."""
        self._run(self._session.cancel(escrow_id, why))

    def wait_for(self, approval: str | Pending, *, timeout_s: float = WAIT_S) -> str:
        """See `WardSession.wait_for`."""
        state: str = self._run(self._session.wait_for(approval, timeout_s=timeout_s))
        return state

    def declare_plan(self, plan: str) -> None:
        """See `WardSession.declare_plan`."""
        self._run(self._session.declare_plan(plan))

    def savepoint(self, name: str) -> int:
        """See `WardSession.savepoint`."""
        index: int = self._run(self._session.savepoint(name))
        return index

    def step(self, name: str) -> None:
        """See `WardSession.step`."""
        self._run(self._session.step(name))

    def finish(self) -> Ended:
        """See `WardSession.finish`."""
        ended: Ended = self._run(self._session.finish())
        return ended

    def fail(self, why: str) -> Ended:
        """See `WardSession.fail`."""
        ended: Ended = self._run(self._session.fail(why))
        return ended

    def rollback(self, *, to: str = "") -> Mapping[str, Any]:
        """See `WardSession.rollback`."""
        ended: Mapping[str, Any] = self._run(self._session.rollback(to=to))
        return ended


class SyncWard:
    """`OpenWard` for code without an event loop: one loop runs in a thread of its own."""

    def __init__(self, ward: OpenWard, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._ward = ward
        self._run = run

    def desk(self, verb: str, *, person: str, **parameters: Any) -> Any:
        """See `OpenWard.desk`."""
        return self._run(self._ward.desk(verb, person=person, **parameters))

    @contextmanager
    def session(self, **opening: Any) -> Iterator[SyncSession]:
        """See `OpenWard.session`."""
        context = self._ward.session(**opening)
        session: WardSession = self._run(_enter(context))
        try:
            yield SyncSession(session, self._run)
        except Exception as failure:
            self._run(_leave(context, failure))
            raise
        except BaseException:
            self._run(_leave(context))
            raise
        else:
            self._run(_leave(context))


@contextmanager
def run_in_thread(opening: AbstractAsyncContextManager[OpenWard]) -> Iterator[SyncWard]:
    """Open a ward on an event loop in a thread and close both at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="toolward", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        ward = run(_enter(opening))
        try:
            yield SyncWard(ward, run)
        finally:
            run(_leave(opening))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _enter(context: AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def _leave(context: AbstractAsyncContextManager[Any], failure: Exception | None = None) -> None:
    """As the block was left; its own error is raised again by whoever called."""
    try:
        await context.__aexit__(type(failure) if failure else None, failure, None)
    except Exception as error:
        if error is not failure:
            raise
