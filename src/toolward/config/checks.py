"""What the shape alone can not say: rules that hold between the fields of a ward's files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from toolward.config.capabilities import check_manifest_capabilities
from toolward.config.convert import suggest
from toolward.config.finder import Finder
from toolward.config.per_call import check_per_call
from toolward.config.shape import ManifestFile, ServerConfig, WardConfig
from toolward.config.undo_checks import check_manifest_undo
from toolward.config.variants import WAYS, every_server
from toolward.config.yamltext import Node
from toolward.errors import WardError
from toolward.model.egress import Refusal
from toolward.model.server import IN_PROCESS_SERVER
from toolward.rules.dsse import public_key
from toolward.rules.egress.destination import upstream_grant

PACKAGE: Final = re.compile(
    r"pypi:[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*\Z"
    r"|npm:(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*@[0-9][A-Za-z0-9.+-]*\Z"
)
"""A package pinned to one version of one registry."""
SECRET_REFERENCE: Final = re.compile(r"\$\{secret:([A-Za-z0-9_.-]{1,128})\}")
_OTHER_REFERENCE = re.compile(r"\$\{(?!secret:[A-Za-z0-9_.-]{1,128}\})[^}]*\}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def check_config(config: WardConfig, root: Node, *, file: str) -> list[WardError]:
    """All findings in `toolward.yaml` that are between fields."""
    finder = Finder(root, file)
    for name, server, here in every_server(config):
        _check_server(name, server, here, finder)
    for agent, ceiling in config.agents.items():
        for index, server_id in enumerate(ceiling.servers):
            if server_id not in config.servers and server_id != IN_PROCESS_SERVER:
                near = suggest(server_id, config.servers)
                remedy = f"did you mean `{near}`?" if near else "declare it under `servers`"
                finder.say(("agents", agent, "servers", index), f"no server `{server_id}`", remedy)
        for index, tool in enumerate(ceiling.tools):
            server_id, slash, _ = tool.partition("/")
            if not slash or (server_id not in config.servers and server_id != IN_PROCESS_SERVER):
                finder.say(
                    ("agents", agent, "tools", index),
                    f"`{tool}` names no tool of a declared server",
                    "write `server/tool`",
                )
    for name, key in config.signers.items():
        if public_key(key) is None:
            remedy = "write the 32 bytes of the public key in base64; `toolward tools sign` says yours"
            finder.say(("signers", name), f"`{name}` has no Ed25519 public key", remedy)
    _check_approvals(config, finder)
    loopback = _is_here(config.listen.host)
    if config.unsafe.anonymous and not loopback:
        finder.say(
            ("unsafe", "anonymous"),
            f"anonymous callers are let in on `{config.listen.host}`, which others can reach",
            "listen on 127.0.0.1, or create credentials and remove `anonymous`",
        )
    return finder.found


def _check_approvals(config: WardConfig, finder: Finder) -> None:
    if config.approvals.url and not _is_address(config.approvals.url, ("http", "https")):
        finder.say(("approvals", "url"), "the url has no host, or more than one", "write `https://host`")
    for name, hook in config.approvals.webhooks.items():
        here: tuple[str | int, ...] = ("approvals", "webhooks", name)
        if SECRET_REFERENCE.fullmatch(hook.url) or not hook.url:
            continue
        if not _is_address(hook.url, ("http", "https")):
            finder.say((*here, "url"), "the url has no host", "write `https://host/path`")
        elif hook.url.startswith("http:") and not _is_here(urlsplit(hook.url).hostname or ""):
            finder.say((*here, "url"), "an unencrypted url beyond this machine", "use `https`")


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    return host in _LOOPBACK or host.startswith("127.")


def _check_server(name: str, server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    ways = [way for way in WAYS if getattr(server, way)]
    if len(ways) != 1:
        said = f"has {' and '.join(f'`{way}`' for way in ways)}" if ways else "says not how to reach it"
        known = ", ".join(f"`{way}`" for way in WAYS)
        finder.say(here, f"server `{name}` {said}", f"give exactly one of {known}")
        return
    _check_kind(server, here, finder)
    _check_roots(server, here, finder)
    for path, text in _texts(server, here):
        odd = _OTHER_REFERENCE.search(text)
        if odd:
            finder.say(
                path, f"`{odd.group()}` is not known here", "write `${secret:NAME}` or the value itself"
            )


def _check_kind(server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    """What is said must mean something for the way in which the server is reached."""
    if server.package and not PACKAGE.match(server.package):
        finder.say(
            (*here, "package"),
            f"`{server.package}` is not a pinned package",
            "write `pypi:NAME==VERSION` or `npm:NAME@VERSION`",
        )
    for key in ("entry", "constraints"):
        if getattr(server, key) and not server.package:
            finder.say((*here, key), f"`{key}` needs `package`", f"remove `{key}` or declare a package")
    if server.requirements and not server.functions:
        finder.say(
            (*here, "requirements"), "`requirements` needs `functions`", "use `constraints` for a package"
        )
    if server.functions or server.commands or server.modules:
        check_per_call(server, here, finder)
    elif server.url:
        _check_remote(server, here, finder)
    elif server.headers:
        finder.say((*here, "headers"), "`headers` needs `url`", "use `env` for a local server")
    elif server.private_network:
        finder.say((*here, "private_network"), "`private_network` needs `url`", "remove it")


def _check_roots(server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    for index, root in enumerate(server.roots):
        if not root.startswith(("/", "~", ".")):
            finder.say(
                (*here, "roots", index),
                f"`{root}` is not a path",
                "write an absolute path, or one that begins with `~` or `.`",
            )


def _check_remote(server: ServerConfig, here: tuple[str | int, ...], finder: Finder) -> None:
    try:
        parts = urlsplit(server.url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        finder.say((*here, "url"), "the url has no host", "write `https://host/path`")
    elif parts.scheme == "http" and host not in _LOOPBACK and not host.startswith("127."):
        finder.say(
            (*here, "url"), "an unencrypted url beyond this machine", "use `https`, or a tunnel to 127.0.0.1"
        )
    else:
        _check_destination(server, parts, here, finder)
    if parts.username or parts.password:
        finder.say((*here, "url"), "the url holds a credential", "move it to `headers` as `${secret:NAME}`")
    for key in ("arguments", "env", "cwd"):
        if getattr(server, key):
            finder.say((*here, key), f"`{key}` means nothing for a remote server", f"remove `{key}`")


def _check_destination(
    server: ServerConfig, parts: SplitResult, here: tuple[str | int, ...], finder: Finder
) -> None:
    """What the egress control would refuse whatever the name leads to."""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        finder.say(
            (*here, "url"), "the url's port is no number up to 65535", "write `https://host:port/path`"
        )
        return
    no = upstream_grant(parts.hostname or "", port, private_network=server.private_network)
    if isinstance(no, Refusal):
        finder.say((*here, "url"), f"the url can not be connected to: {no.text}", no.remedy)


def _texts(server: ServerConfig, here: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, argument in enumerate(server.arguments):
        yield (*here, "arguments", index), argument
    for section, values in (("env", server.env), ("headers", server.headers)):
        for key, text in values.items():
            yield (*here, section, key), text
    yield (*here, "url"), server.url


def check_manifest(
    manifest: ManifestFile, config: WardConfig | None, root: Node, *, file: str, ward: Path
) -> list[WardError]:
    """All findings in `tools/<server>.yaml` that are between fields or with `toolward.yaml`."""
    finder = Finder(root, file)
    if file != f"tools/{manifest.server}.yaml":
        finder.say(
            ("server",), f"`{manifest.server}` stands in `{file}`", f"name it `tools/{manifest.server}.yaml`"
        )
    known = config is None or manifest.server in (*config.servers, IN_PROCESS_SERVER)
    if config is not None and not known:
        near = suggest(manifest.server, config.servers)
        remedy = f"did you mean `{near}`?" if near else "declare it in `toolward.yaml`, or remove this file"
        finder.say(("server",), f"no server `{manifest.server}`", remedy)
    for name, entry in manifest.tools.items():
        server = entry.fallback.partition("/")[0]
        if server and config is not None and server not in (*config.servers, IN_PROCESS_SERVER):
            finder.say(("tools", name, "fallback"), f"no server `{server}`", "name a tool of this ward")
    check_manifest_capabilities(manifest, config, finder, ward=ward)
    check_manifest_undo(manifest, config, finder, ward=ward)
    return finder.found
