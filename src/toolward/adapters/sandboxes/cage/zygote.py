"""The zygote: started by `exec` with an empty environment, it forks one worker for each execution.

It speaks JSON packets with the gateway over one socket: `spawn` answers with the worker's socket and a pidfd,
`resolve` with a descriptor for each path. It has one thread, never runs what a tool says, and ends with the
gateway.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from typing import Any, Final

from . import house as houses
from . import kernel, worker

PACKET_BYTES_MAX: Final = 256 * 1024


def main(fd: int) -> None:
    """Serve until the gateway is gone."""
    control = socket.socket(fileno=fd)
    order = json.loads(control.recv(PACKET_BYTES_MAX))
    try:
        if not kernel.machine_supported():
            raise houses.Unfit("cages are made on x86_64 with 64-bit Python only")  # noqa: TRY301
        if order.get("probe"):
            from . import trials  # noqa: PLC0415 -- only a probe needs it

            _answer(control, {"trials": trials.run_all(order)})
            return
        house = houses.set_up(order)
        for name in order["preload"]:
            __import__(name)
    except (houses.Unfit, OSError) as error:
        _answer(control, {"fatal": str(error)})
        return
    worker.warm_up(house)
    kernel.die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; nobody asks how a worker ended
    gc.collect()
    gc.freeze()
    gc.disable()
    _answer(control, {"ready": True, "proc": house.has_proc, "landlock": house.landlock})
    _serve(control, house)


def _serve(control: socket.socket, house: houses.House) -> None:
    while True:
        packet, fds, _, _ = socket.recv_fds(control, PACKET_BYTES_MAX, 1)
        if not packet:
            os._exit(0)
        request = json.loads(packet)
        if "spawn" in request:
            _spawn(control, house, request["spawn"], fds)
            for fd in fds:
                os.close(fd)
        else:
            _resolve(control, house, request["resolve"])


def _spawn(control: socket.socket, house: houses.House, request: dict[str, Any], entry: list[int]) -> None:
    """`entry` leads into the worker's control group, where it has one."""
    ours, theirs = socket.socketpair()
    try:
        pid = worker.fork_into(house)
    except OSError as error:
        _answer(control, {"failed": str(error)})
        return
    if pid == 0:
        ours.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.main(theirs, house, request, entry)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it is gone already: its socket says so
        pidfd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    _answer(control, {"pid": pid}, (ours.fileno(), pidfd))
    os.close(pidfd)


def _resolve(control: socket.socket, house: houses.House, wanted: list[list[str]]) -> None:
    fds: list[int] = []
    try:
        for root, path, access in wanted:
            try:
                fds.append(
                    houses.hide(house)
                    if access == "hide"
                    else houses.resolve(house, root, path, writes=access == "write")
                )
            except houses.Refused as error:
                _answer(control, {"refused": [path, str(error), error.remedy]})
                return
        _answer(control, {"resolved": len(fds)}, tuple(fds))
    finally:
        for fd in fds:
            os.close(fd)


def _answer(control: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], list(fds))
