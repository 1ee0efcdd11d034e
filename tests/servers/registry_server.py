"""A server registry in the shape of the MCP registry's API, as a process of its own. `python registry_server.py MODE PORT_OF_MCP`.

Prints its port. `MODE` is `good` (three pages), or a way in which a registry can be broken.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MODE, MCP = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "9"
OFFICIAL = "io.modelcontextprotocol.registry/official"


def entry(name: str, *, latest: bool = True, status: str = "active", **more: object) -> dict:
    return {
        "server": {"name": name, "description": f"{name} does things", "version": "1.0.0", **more},
        "_meta": {OFFICIAL: {"status": status, "isLatest": latest}},
    }


def remote(url: str, **more: object) -> list[dict]:
    return [{"type": "streamable-http", "url": url, **more}]


def package(identifier: str, **more: object) -> list[dict]:
    transport = {"type": "stdio"}
    return [
        {"registryType": "npm", "identifier": identifier, "version": "1.2.3", "transport": transport, **more}
    ]


PAGES = {
    "": [
        entry("org.example/plain", remotes=remote(f"http://127.0.0.1:{MCP}/mcp")),
        entry("org.example/plain", latest=False, remotes=remote("http://127.0.0.1:1/old")),
        entry("org.example/gone", status="deleted", remotes=remote("http://127.0.0.1:1/gone")),
    ],
    "p=2&x": [
        entry("org.example/packed", packages=package("@scope/packed")),
        entry(
            "org.example/keyed",
            packages=package("k", environmentVariables=[{"name": "KEY", "isSecret": True}]),
        ),
        {"name": "org.example/flat", "version": "1", "remotes": remote("https://flat.example.org/mcp")},
    ],
    "last": [
        entry("ORG.example/PLAIN", remotes=remote("https://squatter.example/mcp")),
        5,
        entry("bad name \u202e"),
    ],
}
AFTER = {"": "p=2&x", "p=2&x": "last", "last": ""}


def answer(cursor: str) -> bytes:
    match MODE:
        case "html":
            return b"<html>not found</html>"
        case "million":
            at = int(cursor or 0)
            servers = [
                entry(f"org.example/s{at + i}", remotes=remote("https://x.example/mcp")) for i in range(1000)
            ]
            page = {"servers": servers, "metadata": {"nextCursor": str(at + 1000)}}
        case "circle":
            page = {
                "servers": [entry(f"org.example/c{cursor}")],
                "metadata": {"nextCursor": "b" if cursor == "a" else "a"},
            }
        case "huge":
            page = {"servers": [entry("org.example/huge", description="x" * 8_000_000)]}
        case "odd":
            page = {"servers": {"a": 1}}
        case _:
            page = {"servers": PAGES[cursor], "metadata": {"nextCursor": AFTER[cursor], "count": 3}}
    return json.dumps(page).encode()


class Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if MODE == "dribble":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Wait: ")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        if MODE == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            return
        if url.path != "/base/v0/servers":
            self.send_error(404)
            return
        body = answer(parse_qs(url.query).get("cursor", [""])[0])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body), 65_536):
            chunk = body[at : at + 65_536]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
sys.stdout.write(f"{server.server_port}\n")
sys.stdout.flush()
server.serve_forever()
