"""Networks: everything that is not the one way out."""

from __future__ import annotations

import os
import socket
from typing import Any

from toolward.lab.escape.payloads.prelude import World


def net1(w: World) -> Any:
    """connect to a service on the machine's loopback"""
    with socket.create_connection(("127.0.0.1", w["tcp"]), 2) as conn:
        conn.sendall(w["mark"].encode())


def net2(w: World) -> Any:
    """connect to the address of cloud metadata"""
    with socket.create_connection(("169.254.169.254", 80), 0.3):
        return "connected"


def net3(w: World) -> Any:
    """send a datagram, as a tunnel over DNS would"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as conn:
        conn.sendto(w["mark"].encode(), ("127.0.0.1", w["udp"]))


def net4(w: World) -> Any:
    """sockets of other families: netlink, vsock, packet, alg, xdp, bluetooth, raw"""
    opened = []
    for family, kind, protocol in (
        (16, 3, 0),
        (40, 1, 0),
        (17, 3, 768),
        (38, 5, 0),
        (44, 3, 0),
        (31, 1, 0),
        (2, 3, 1),
    ):
        try:
            socket.socket(family, kind, protocol).close()
            opened.append(family)
        except OSError:
            pass
    return opened


def net5(w: World) -> Any:
    """resolve a name"""
    return socket.gethostbyname("localhost.example.com")


def net6(w: World) -> Any:
    """with one destination granted: a connection to another port of the machine"""
    return net1(w)


def net7(w: World) -> Any:
    """with one destination granted: datagrams, IPv6, Unix and listening sockets"""
    opened = []
    for family, kind in ((2, 2), (10, 1), (1, 1), (16, 3), (40, 1)):
        try:
            socket.socket(family, kind).close()
            opened.append(str(family))
        except OSError:
            pass
    try:
        socket.create_server(("127.0.0.1", 0)).close()
        opened.append("listening")
    except OSError:
        pass
    return opened


def net8(w: World) -> Any:
    """a connection in the opening datagram (TCP fast open), which no connect() announces"""
    with socket.socket() as conn:
        conn.sendto(w["mark"].encode(), 0x20000000, ("127.0.0.1", w["tcp"]))


def net9(w: World) -> Any:
    """dissolve and rebind the one socket that there is (AF_UNSPEC, autobind)"""
    for fd in range(3, 64):
        try:
            conn = socket.socket(fileno=os.dup(fd))
            if conn.family == socket.AF_UNIX:
                conn.bind("")
                return "bound " + repr(conn.getsockname())
        except OSError:
            continue
    with socket.socket(socket.AF_UNIX) as conn:
        conn.bind("")
        return "bound"


def net10(w: World) -> Any:
    """a connection by a protocol that is not TCP and speaks it (MPTCP)"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as conn:
        conn.settimeout(2)
        conn.connect(("127.0.0.1", w["tcp"]))
        conn.sendall(w["mark"].encode())
