"""The `approvals:` section of `toolward.yaml`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from toolward.config.section import Section

Role = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")]
Seconds = Annotated[int, Meta(ge=0, le=30 * 86_400)]


class ApprovalsConfig(Section, frozen=True):
    """How people are asked. What a policy demands (roles, quorum, four eyes, expiry) stands in the policy."""

    url: Annotated[
        str, Meta(description="How approvers reach this gateway, where it is not its own address.")
    ] = ""
    remind_after_s: Annotated[
        Seconds, Meta(description="Remind those who were asked, again and again; 0 for never.")
    ] = 0
    escalate_after_s: Annotated[Seconds, Meta(description="Ask `escalate_to` as well; 0 for never.")] = 0
    escalate_to: Annotated[
        tuple[Role, ...], Meta(description="Roles that may then stand in; quorum and four eyes stay.")
    ] = ()
    endorse_by: Annotated[
        tuple[Role, ...], Meta(description="Who may endorse a source; `user` is the session's own user.")
    ] = ("user",)
