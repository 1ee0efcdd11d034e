"""Workers that wait for their one execution. A dry pool makes calls wait; it never hands out less."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from toolward.adapters.sandboxes.cgroups import Groups, Leaf
from toolward.adapters.sandboxes.settings import COUNT_S, END_MS, USER_ROOM, Settings
from toolward.adapters.sandboxes.specs import PROXY_PORT, arm_spec
from toolward.adapters.sandboxes.usage import tasks_of_user
from toolward.adapters.sandboxes.users import USERS_PER_POOL, Users, claim
from toolward.adapters.sandboxes.worker_link import WorkerLink
from toolward.adapters.sandboxes.zygote_link import ZygoteLink
from toolward.errors import Overloaded, SandboxUnavailable, ToolwardError
from toolward.model.capability import IsolationLevel, Scope


@dataclass(frozen=True, slots=True)
class LaneKey:
    """Workers of one lane are alike: the same network, and armed for the same scope, or not armed yet."""

    network: bool
    scope: Scope | None = None
    address_space: bool = True


@dataclass(kw_only=True)
class _Lane:
    target: int
    starting: int = 0
    ready: deque[WorkerLink] = field(default_factory=deque)


class Pool:
    """Starts, keeps and hands out workers, and starts another zygote when one dies."""

    def __init__(self, settings: Settings, groups: Groups | None = None) -> None:
        """`groups`: where each worker gets a control group of its own, if there are such."""
        self._settings = settings
        self._groups = groups
        self._link = ZygoteLink()
        self._lanes: dict[LaneKey, _Lane] = {LaneKey(network=False): _Lane(target=settings.ready)}
        self._live: set[WorkerLink] = set()
        self._slots = list(reversed(range(settings.workers_max)))
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        self._users: Users | None = None
        self._counted = 0
        self._counted_at = -COUNT_S
        self._closed = False

    async def open(self) -> dict[str, Any]:
        """Start the zygote; its first word. Raises `SandboxUnavailable`."""
        self._claim_users()
        try:
            hello = await self._open_zygote()
        except BaseException:
            self._release_users()
            raise
        self._refill()
        return hello

    @property
    def first_user(self) -> int:
        """The first of this pool's users; 0 where cages run as the gateway's own."""
        return self._users.first if self._users else 0

    @property
    def shares_user(self) -> bool:
        """Whether cages have the gateway's own user, with no namespace in which only they are counted."""
        return self._settings.tier is IsolationLevel.LANDLOCK and self._users is None

    async def others(self) -> int:
        """What counts towards the limit of processes of a cage's user and is not the cage's own.

        0 where nothing is; else all that the user runs, and room for what it will start meanwhile. The cage's
        own are counted by its watch.
        """
        if not self.shares_user:
            return 0
        now = asyncio.get_running_loop().time()
        if now > self._counted_at + COUNT_S:
            self._counted = await asyncio.to_thread(tasks_of_user, os.geteuid())
            self._counted_at = now
        return self._counted + USER_ROOM

    @property
    def zygote_pid(self) -> int:
        """The zygote that workers come from now."""
        return self._link.pid

    def living(self) -> list[int]:
        """The first process of every worker that lives."""
        return [worker.pid for worker in self._live]

    def ready(self, key: LaneKey) -> int:
        """Workers that wait in a lane."""
        lane = self._lanes.get(key)
        return len(lane.ready) if lane else 0

    async def prepare(self, key: LaneKey, workers: int) -> None:
        """Keep this many ready in a lane, and wait until they are."""
        lane = self._lanes.setdefault(key, _Lane(target=0))
        lane.target = 0  # meanwhile, so that none is started twice
        while len(lane.ready) < workers:
            lane.ready.append(await self._free_worker(key, lane))
        lane.target = workers

    def has(self, key: LaneKey) -> bool:
        """Whether there is such a lane."""
        return key in self._lanes

    async def take(self, key: LaneKey) -> WorkerLink:
        """A worker that served nobody, the caller's to `end`. Raises `Overloaded`, `SandboxUnavailable`."""
        lane = self._lanes.setdefault(key, _Lane(target=0))
        return await self._free_worker(key, lane, ready=True)

    async def _free_worker(self, key: LaneKey, lane: _Lane, *, ready: bool = False) -> WorkerLink:
        """A worker of the lane: one that is `ready`, if so wanted, or a new one when there is room."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.queue_wait_ms / 1000
        while True:
            while ready and lane.ready:
                worker = lane.ready.popleft()
                if worker.alive:
                    return worker
                worker.kill()
            if self._slots:
                return await self._start(key, self._slots.pop())
            self._evict(lane)
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                raise Overloaded(
                    f"no sandbox worker became free in {self._settings.queue_wait_ms} ms",
                    remedy="send fewer calls at once, or raise the sandbox's `workers_max`",
                ) from None
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self._wake_one()  # it was woken, and will not look
                raise

    async def resolve(self, scope: Scope) -> list[int]:
        """Vetted descriptors of a scope's paths; the caller closes them. Raises `Denied`."""
        await self._ensure_zygote()
        return await self._link.resolve(scope.paths)

    def replenish(self) -> None:
        """Start what is missing, when the caller has nothing more urgent to do."""
        if not self._closed:
            self._refill()

    async def close(self) -> None:
        """End every worker and the zygote."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = list(self._live)
        for worker in workers:
            worker.kill()
        try:
            async with asyncio.timeout(END_MS / 1000):
                for worker in workers:
                    await worker.gone()
        except TimeoutError:
            pass  # the zygote's end is theirs
        await self._link.close()
        if self._groups is not None:
            await asyncio.to_thread(self._groups.close)
        self._release_users()

    # --- users

    def _claim_users(self) -> None:
        if os.geteuid() != 0 or self._settings.tier is IsolationLevel.NONE:
            return
        if self._settings.workers_max >= USERS_PER_POOL:
            raise SandboxUnavailable(
                f"`workers_max` is {self._settings.workers_max}, and there are users for"
                f" {USERS_PER_POOL - 1} cages",
                remedy=f"set it to less than {USERS_PER_POOL}",
            )
        self._users = claim()
        self._settings = replace(self._settings, uid=self._users.first)

    def _release_users(self) -> None:
        users, self._users = self._users, None
        if users is not None:
            users.release()

    # --- starting

    async def _open_zygote(self) -> dict[str, Any]:
        return await self._link.open(self._settings, keep=[self._users.lock] if self._users else [])

    def _evict(self, wanted: _Lane) -> None:
        """Give up a worker that waits in another lane; its place is free when it is gone."""
        for lane in self._lanes.values():
            if lane is not wanted and lane.ready:
                lane.ready.pop().kill()
                return

    async def _start(self, key: LaneKey, slot: int) -> WorkerLink:
        """Start a worker in a slot that the caller took at once: there are as many as workers may live."""
        group: Leaf | None = None
        try:
            await self._ensure_zygote()
            fds = await self._link.resolve(key.scope.paths) if key.scope else []
            group = self._new_group()
            entry = [group.entry] if group else []
            conn, pidfd, pid = await self._link.spawn(network=key.network, slot=slot, entry=entry)
        except BaseException:
            self._slots.append(slot)
            self._leave(group)
            self._wake_one()
            raise
        worker = WorkerLink(conn, pidfd, pid=pid, tier=self._settings.tier, slot=slot)
        worker.group = group
        if group is not None:
            group.entered()
        worker.on_gone = self._forget
        self._live.add(worker)
        if key.scope:
            port = PROXY_PORT if key.network else 0
            others = await self.others()
            spec = arm_spec(key.scope, address_space=key.address_space, port=port, others=others)
            worker.arm(spec, fds, key.scope.limits)
            worker.port = port
            close_all(fds)
        return worker

    def _new_group(self) -> Leaf | None:
        try:
            return self._groups.leaf() if self._groups is not None else None
        except OSError as error:
            raise SandboxUnavailable(
                f"no control group could be made: {error.strerror}", remedy="see who else changes the tree"
            ) from error

    def _leave(self, group: Leaf | None) -> None:
        if group is not None and self._groups is not None:
            self._groups.leave(group)

    async def _ensure_zygote(self) -> None:
        async with self._opening:
            if self._closed:
                raise SandboxUnavailable("the sandbox is closed", remedy="restart the gateway")
            if self._link.lost.is_set():
                await self._link.close()
                self._link = ZygoteLink()
                await self._open_zygote()

    def _refill(self) -> None:
        for key, lane in self._lanes.items():
            while len(lane.ready) + lane.starting < lane.target and self._slots:
                lane.starting += 1
                task = asyncio.get_running_loop().create_task(self._add(key, lane, self._slots.pop()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _add(self, key: LaneKey, lane: _Lane, slot: int) -> None:
        try:
            lane.ready.append(await self._start(key, slot))
        except ToolwardError:
            pass  # the next call tries again, and its caller hears of it
        finally:
            lane.starting -= 1
            self._wake_one()

    def _forget(self, worker: WorkerLink) -> None:
        self._live.discard(worker)
        self._slots.append(worker.slot)
        self._leave(worker.group)
        for lane in self._lanes.values():
            if worker in lane.ready:  # nobody took it, so nobody else closes what is left of it
                lane.ready.remove(worker)
                worker.kill()
        self._wake_one()

    def _wake_one(self) -> None:
        """Have the call that waits longest look again."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def close_all(fds: list[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
