"""A canary that regresses is rolled back by itself, on a real ward with real cages.

    python -m toolward.lab.paths canary

Two versions of one tool are two source files. One person proposes the second, another begins its canary; half
of the new sessions are served it, until it fails. The time from the first bad call to the rollback is
measured, and so is what `toolward tools rollback` takes.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toolward.bootstrap import open_house
from toolward.bootstrap.assembly import House
from toolward.errors import Denied
from toolward.governance.desk import invoke
from toolward.lab.report import Row, write_report
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin

TOOL: Final = "shop/price"
FILES: Final[Mapping[str, str]] = {
    "toolward.yaml": """\
version: 1
name: canary
servers:
  shop:
    functions: functions/price.py
    variants:
      next: {functions: functions/price_next.py}
""",
    "gates.yaml": """\
version: 1
channels:
  production:
    compatible: true
    decision_tests: true
    canary: {share: 50, calls: 20, minutes: 0}
    signoff: {people: 1}
""",
    "tools/shop.yaml": "server: shop\ntools:\n  price: {effect: read_only, egress: false}\n",
    "tests/shop.yaml": """\
decisions:
  - {name: anyone may ask for a price, call: shop/price, arguments: {item: tea}, expect: allow}
""",
    "functions/price.py": '''\
def price(item: str) -> dict[str, str]:
    """The price of an item."""
    return {"item": item, "by": "first"}
''',
    "functions/price_next.py": '''\
def price(item: str) -> dict[str, str]:
    """The price of an item."""
    if item == "coffee":
        raise KeyError(item)
    return {"item": item, "by": "next"}
''',
}
ROLLBACK_MAX_MS: Final = 1_000
"""What going back to a version may take."""


def person(name: str) -> Principal:
    """Somebody with a credential of their own."""
    return Principal(user=name, agent="lab", credential=f"lab-{name}", kind=CredentialKind.PERSON)


@dataclass(slots=True)
class Scene:
    """The open ward, and what was seen."""

    house: House
    rows: list[Row] = field(default_factory=list)

    async def desk(self, verb: str, who: str, **parameters: Any) -> Any:
        """A verb of the desk, by a person."""
        return await invoke(self.house.desk, verb, {"tool": TOOL, **parameters}, person(who))

    async def session(self) -> str:
        """A new session of an agent."""
        opened = await self.house.gateway.open_session(person("carol"), SessionOrigin.HANDLE)
        return opened.session_id

    async def price(self, session: str, item: str = "tea") -> str:
        """Which version answered, or `error`."""
        reply = await self.desk("call", "carol", arguments={"item": item}, session=session)
        said = reply.get("result", {}).get("structuredContent", {})
        return str(said.get("by", "error"))

    def saw(
        self, what: str, figure: float | str, unit: str = "", *, goal: str = "", holds: bool = True
    ) -> None:
        """One row of the report."""
        self.rows.append(Row(what, figure, unit, goal, holds))


async def play(scene: Scene) -> None:
    """The whole scene."""
    digest = await _first_and_next(scene)
    before = await scene.session()
    _ = await scene.price(before)
    await _agreed(scene, digest)
    served: dict[str, list[str]] = {}
    for _ in range(40):
        session = await scene.session()
        served.setdefault(await scene.price(session), []).append(session)
    scene.saw("new sessions that the canary was served to", f"{len(served.get('next', []))} of 40")
    await _regresses(scene, served["next"])
    kept = await scene.price(served["next"][0])
    scene.saw("a session in flight on the candidate finishes on", kept, goal="next", holds=kept == "next")
    kept = await scene.price(before)
    scene.saw("a session from before the canary is served", kept, goal="first", holds=kept == "first")
    after = {await scene.price(await scene.session()) for _ in range(10)}
    scene.saw("ten new sessions are served", " ".join(sorted(after)), goal="first", holds=after == {"first"})
    held = await _refused(scene, "ben")
    scene.saw("promoting it now", held, goal="gate_not_met", holds=held == "gate_not_met")
    await _rolled_back(scene, digest)


async def _first_and_next(scene: Scene) -> str:
    """Approve the first version, before the ward has gates; returns the digest of the other."""
    await scene.house.parts.drift.refresh("shop")
    pin = scene.house.parts.registry.known(TOOL)
    await scene.desk("tools.approve", "ana", tools=[{"tool": TOOL, "digest": pin.digest}])
    (scene.house.ward.path / "gates.yaml").write_text(FILES["gates.yaml"])
    await scene.desk("reload", "ana")
    await scene.house.parts.drift.refresh("shop@next")
    return scene.house.parts.registry.known(TOOL).offers[0]


async def _agreed(scene: Scene, digest: str) -> None:
    _ = await scene.desk("tools.promote", "ana", to="production", digest=digest)
    own = await _refused(scene, "ana")
    scene.saw("a promotion by its own proposer", own, goal="not_an_approver", holds=own == "not_an_approver")
    _ = await scene.desk("tools.canary", "ben", share=50)
    early = await _refused(scene, "ben")
    scene.saw(
        "a promotion before the canary has data", early, goal="gate_not_met", holds=early == "gate_not_met"
    )


async def _regresses(scene: Scene, sessions: list[str]) -> None:
    calls = 0
    for session in sessions:
        if scene.house.parts.registry.known(TOOL).canary is None:
            break
        _ = await scene.price(session, "coffee")
        calls += 1
        await asyncio.sleep(0)
    ended = scene.house.store.find(kind="canary.ended", tool=TOOL)
    (incident,) = [each for each in scene.house.parts.incidents.all() if each.kind == "regression"]
    took_ms = (incident.restored_ns - incident.onset_ns) / 1_000_000
    scene.saw("bad calls until it was rolled back by itself", calls, goal="5", holds=len(ended) == 1)
    scene.saw("from the first bad call to the rollback", took_ms, "ms")


async def _refused(scene: Scene, who: str) -> str:
    """The code with which a promotion is refused; "" when it is not."""
    try:
        _ = await scene.desk("tools.promote", who, to="production")
    except Denied as no:
        return no.reason.code.value
    return ""


async def _rolled_back(scene: Scene, digest: str) -> None:
    """Serve the second version after all, with no gate in the way, and go back by hand."""
    (scene.house.ward.path / "gates.yaml").unlink()
    await scene.desk("reload", "ana")
    await scene.desk("tools.withdraw", "ana", to="production")
    await scene.desk("tools.promote", "ben", to="production", digest=digest)
    in_flight = await scene.session()
    _ = await scene.price(in_flight)
    back = await scene.desk("tools.rollback", "ana")
    took = back["took_us"] / 1000
    scene.saw(
        "`toolward tools rollback`, to its revision in force",
        took,
        "ms",
        goal="< 1000",
        holds=took < ROLLBACK_MAX_MS,
    )
    kept, new = await scene.price(in_flight), await scene.price(await scene.session())
    text = f"in flight {kept}, new {new}"
    scene.saw("after it", text, goal="in flight next, new first", holds=(kept, new) == ("next", "first"))


async def on_a_ward(path: Path) -> list[Row]:
    """Write the ward at `path`, play the scene on it, and say what was seen."""
    for name, text in FILES.items():
        if name != "gates.yaml":
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
    async with open_house(path) as house:
        scene = Scene(house)
        await play(scene)
        return scene.rows


def main() -> int:
    """Play it in a directory of its own, and print the table."""
    with tempfile.TemporaryDirectory(prefix="toolward-canary-") as folder:
        rows = asyncio.run(on_a_ward(Path(folder)))
    write_report("paths-canary", rows)
    return 0 if all(row.holds for row in rows) else 1
