"""A real browser for tests, driven by the W3C WebDriver protocol over plain HTTP; no library of its own."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
WAIT_MS = 10_000
SWAPS = 50  # a page that hears of news puts a new element in an old one's place: how often one is looked for again


def missing() -> str:
    """Why there is no browser here; '' when there is one."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""


GONE = ("stale element reference", "script timeout")  # a page that is left lets its scripts time out at once


class Gone(AssertionError):
    """The element was replaced after it was found, or the page was left while a script waited in it."""


@dataclass
class Browser:
    """One window. Elements are found by CSS, and waited for."""

    base: str

    def go(self, url: str) -> None:
        self._post("url", url=url)

    @property
    def url(self) -> str:
        return str(self._ask("GET", "url"))

    @property
    def title(self) -> str:
        return str(self._ask("GET", "title"))

    def find(self, css: str) -> str:
        found: dict[str, str] = self._post("element", using="css selector", value=css)
        return found[ELEMENT]

    def text(self, css: str = "main") -> str:
        return str(self._of("GET", css, "text"))

    def click(self, css: str) -> None:
        self._of("POST", css, "click")

    def type(self, css: str, text: str) -> None:
        self._of("POST", css, "value", text=text)

    def script(self, body: str, *arguments: Any) -> Any:
        return self._post("execute/sync", script=body, args=list(arguments))

    def until(self, condition: str) -> None:
        """Wait in the page until a JavaScript expression holds, also in the page that comes after it."""
        body = (
            "const done = arguments[arguments.length - 1];"
            f"(function look() {{ if ({condition}) done(true); else setTimeout(look, 20); }})();"
        )
        end = time.monotonic() + WAIT_MS / 1000
        while True:
            try:
                self._post("execute/async", script=body, args=[])
            except Gone:
                if time.monotonic() > end:
                    raise
            else:
                return

    def size(self, width: int, height: int) -> None:
        """Of the page itself, whatever the smallest window is."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def dark(self, on: bool) -> None:
        value = "dark" if on else "light"
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def cdp(self, command: str, **params: Any) -> Any:
        return self._post("goog/cdp/execute", cmd=command, params=params)

    def shot(self, path: Path) -> None:
        """The whole page as a PNG."""
        taken = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def log(self) -> list[str]:
        """What the page had to complain about: also what its content security policy stopped."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def _of(self, method: str, css: str, what: str, **body: Any) -> Any:
        for _ in range(SWAPS):
            try:
                return self._ask(method, f"element/{self.find(css)}/{what}", body)
            except Gone:  # nothing was done to it
                continue
        raise AssertionError(f"{css} was replaced {SWAPS} times before it could be reached")

    def _post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _ask(method, f"{self.base}/{path}", body)


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless, with a profile of its own that is thrown away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.PIPE, text=True)
        try:
            assert driver.stdout is not None
            for line in driver.stdout:
                if "started successfully" in line:
                    break
            root = f"http://127.0.0.1:{port}/session"
            options = {
                "binary": shutil.which("chromium"),
                "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--disable-dev-shm-usage",
                    f"--user-data-dir={home}",
                ],
            }
            wanted = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"implicit": WAIT_MS, "script": WAIT_MS, "pageLoad": 3 * WAIT_MS},
            }
            made = _ask("POST", root, {"capabilities": {"alwaysMatch": wanted}})
            base = f"{root}/{made['sessionId']}"
            try:
                yield Browser(base)
            finally:
                _ask("DELETE", base)
        finally:
            driver.terminate()
            driver.wait()
            if driver.stdout is not None:
                driver.stdout.close()


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if method == "GET" else json.dumps(body or {}).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)["value"]
        kind = Gone if said["error"] in GONE else AssertionError
        raise kind(f"{said['error']}: {said['message'][:500]}") from None
