"""One-time links that sign a person's browser in to the pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.links import Links
from toolward.governance.moments import utc
from toolward.model.principal import Principal

APPROVAL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


async def make(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """A link that signs in once, within five minutes. Parameters: `approval`, whose page it leads to."""
    approval = text(parameters, "approval", "")
    if approval and not APPROVAL_ID.match(approval):
        raise Rejected("the parameter `approval` is no approval's id")
    parts = desk.parts
    token, expires_ns = await Links(parts.store, parts.auditor, clock=desk.clock, ids=parts.ids).make(by)
    query = urlencode({"token": token, **({"next": approval} if approval else {})})
    return {"url": f"{desk.url()}/approvals/sign-in?{query}", "expires_at": utc(expires_ns)}


VERBS = {"links.make": Verb(make)}
