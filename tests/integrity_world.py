"""One session of the integrity rule, played by hand: tools, results, and what is found of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from msgspec.structs import replace

from toolward.model.call import Action, Call, Facts, LabelledCall, ResolvedCall
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Effect, Manifest, ToolState, ToolVersion
from toolward.rules.flow import label_call
from toolward.rules.integrity.mechanisms import EVERYTHING, Mechanism
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import remember_result
from toolward.rules.manifest_defaults import complete_manifest

TRUSTED = Label(Integrity.TRUSTED, Confidentiality.INTERNAL)
VOUCHED = {f"/**/{name}": TRUSTED for name in ("id", "author", "size", "created", "payee", "sum", "email")}
STRING = {"type": "string"}
BOILERPLATE = "This tool belongs to a file system. It has folders. Tool description:"


def tool(
    name: str,
    effect: Effect,
    *,
    egress: bool = False,
    result: Label | None = None,
    about: str = "",
    **properties: Any,
) -> ToolVersion:
    definition = {
        "name": name,
        "description": f"{about or name.replace('_', ' ')}.",
        "inputSchema": {"type": "object", "properties": properties},
    }
    manifest = Manifest(effect=effect, egress=egress, result=result, result_fields=VOUCHED)
    return ToolVersion(
        server="desk",
        name=name,
        definition=orjson.dumps(definition),
        definition_digest="",
        binding="",
        manifest=complete_manifest(manifest, definition),
        digest=name,
    )


TOOLS = {
    each.name: each
    for each in (
        tool("search_notes", Effect.READ_ONLY, query=STRING),
        tool("list_notes", Effect.READ_ONLY),
        tool("list_trusted", Effect.READ_ONLY, result=TRUSTED),
        tool("read_file", Effect.READ_ONLY, path=STRING),
        tool("delete_note", Effect.IRREVERSIBLE, id=STRING),
        tool("update_note", Effect.REVERSIBLE, id=STRING, place=STRING, description=STRING),
        tool("send_message", Effect.IRREVERSIBLE, egress=True, to=STRING, text=STRING),
        tool("pay_account", Effect.IRREVERSIBLE, egress=True, account=STRING, amount={"type": "number"}),
        tool("open_page", Effect.READ_ONLY, egress=True, url=STRING, mode=STRING),
        tool("confirm_login", Effect.IRREVERSIBLE, egress=True, site=STRING, code=STRING),
        tool("change_password", Effect.IRREVERSIBLE, password=STRING),
        tool("create_event", Effect.REVERSIBLE, title=STRING, start_time=STRING, permission=STRING),
        tool("write_file", Effect.IDEMPOTENT_WRITE, path=STRING, content=STRING),
        tool("append_text", Effect.REVERSIBLE, path=STRING, text=STRING),
        tool("move_file", Effect.REVERSIBLE, source=STRING, destination=STRING),
        tool("commit_changes", Effect.REVERSIBLE, path=STRING, message=STRING),
        tool("stash", Effect.REVERSIBLE, path=STRING),
        tool("create_facts", Effect.REVERSIBLE, text=STRING),
        tool("mv", Effect.REVERSIBLE, about=f"{BOILERPLATE} Move a file", source=STRING, destination=STRING),
        tool("purge_note", Effect.REVERSIBLE, about="For good. Show the note before", id=STRING),
        tool("start_engine", Effect.IRREVERSIBLE, mode={"type": "string", "enum": ["START", "STOP"]}),
        tool("write_query", Effect.IRREVERSIBLE, about="Execute a statement", query=STRING),
    )
}


@dataclass
class Table:
    """One session, played by hand."""

    prompt: str = ""
    plan: str = ""
    mechanisms: Mechanism = EVERYTHING
    memory: SessionMemory = field(default_factory=SessionMemory)
    calls: int = 0
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        who = Principal(user="u", agent="a", credential="c", kind=CredentialKind.API_KEY)
        self.session = Session(
            session_id="s",
            principal=who,
            origin=SessionOrigin.HANDLE,
            prompt=self.prompt,
            plan=self.plan,
            opened_ns=0,
            last_used_ns=0,
        )

    def labelled(self, name: str, arguments: Mapping[str, Any]) -> LabelledCall:
        self.calls += 1
        call = Call(
            call_id=f"c{self.calls}",
            action=Action.CALL_TOOL,
            session=self.session,
            target=name,
            server="desk",
            arguments_json=orjson.dumps(arguments),
            arguments=arguments,
            args_digest="",
        )
        resolved = ResolvedCall(
            call=call, server="desk", name=name, version=TOOLS[name], state=ToolState.APPROVED
        )
        leaves, label, facts = label_call(
            resolved, self.session, self.memory, None, mechanisms=self.mechanisms
        )
        return LabelledCall(resolved=resolved, leaves=leaves, arguments_label=label, facts=facts)

    def read(self, name: str, answer: Any, **arguments: Any) -> str:
        """A call that is answered; its result taints the session as the manifest says."""
        asked = self.labelled(name, arguments)
        structured = answer if isinstance(answer, dict) else {"result": answer}
        label = remember_result(
            self.memory,
            {"content": [], "structuredContent": structured},
            call_id=asked.call.call_id,
            manifest=TOOLS[name].manifest,
            asked=asked,
        )
        self.session = replace(self.session, taint=self.session.taint.join(label))
        return asked.call.call_id

    def facts(self, name: str, **arguments: Any) -> Facts:
        return self.labelled(name, arguments).facts

    def passes(self, name: str, **arguments: Any) -> bool:
        """Whether nobody has to be asked: the words ask for it, and every deciding value is proven."""
        found = self.facts(name, **arguments)
        return found.proven and found.asked_for
