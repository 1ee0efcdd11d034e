"""The `approvals:` section of `toolward.yaml`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from toolward.config.section import Section

Role = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")]
Seconds = Annotated[int, Meta(ge=0, le=30 * 86_400)]


class WebhookFormat(StrEnum):
    """What a message looks like, and how an answer is signed."""

    JSON = "json"
    SLACK = "slack"


class WebhookMoment(StrEnum):
    """When a message is sent."""

    ASKED = "asked"
    REMINDED = "reminded"
    ENDED = "ended"


class WebhookConfig(Section, frozen=True):
    """One place that is told of approvals, and may answer them."""

    secret: Annotated[
        str,
        Meta(
            pattern=r"^\$\{secret:[A-Za-z0-9_.-]{1,128}\}$",
            description="`${secret:NAME}`: signs what is sent, and proves what comes in.",
        ),
    ]
    url: Annotated[
        str,
        Meta(
            description="Where messages go, or `${secret:NAME}` that says it; empty: only answers come in.",
            examples=["https://hooks.example.org/approvals"],
        ),
    ] = ""
    format: WebhookFormat = WebhookFormat.JSON
    events: tuple[WebhookMoment, ...] = tuple(WebhookMoment)
    arguments: Annotated[
        bool, Meta(description="The call's arguments leave too; without them nobody can agree from there.")
    ] = False
    private_network: Annotated[
        bool, Meta(description="The url's name may lead to private addresses: your own network.")
    ] = False
    people: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=128)], Role],
        Meta(description="Who answers there -> which user of this ward that is."),
    ] = msgspec.field(default_factory=dict)


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
    webhooks: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")], WebhookConfig],
        Meta(description="Who is told of questions and answers, and may answer."),
    ] = msgspec.field(default_factory=dict)
    endorse_by: Annotated[
        tuple[Role, ...], Meta(description="Who may endorse a source; `user` is the session's own user.")
    ] = ("user",)
