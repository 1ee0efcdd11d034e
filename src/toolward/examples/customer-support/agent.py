"""The clerk: an agent without a model, scripted so that every run is the same.

It is obedient, the worst that a model can be: what a mail tells it to do, it tries, whoever wrote the mail.
It knows nothing of toolward; it has the tools that it is shown, by their names in MCP, and their answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[..., Awaitable[Any]]
"""`await call("server__tool", argument=value)`: its `text`, `structured` and `code`, "" if let through."""


async def read_ticket(call: Call, sender: str) -> str:
    """The text of the newest mail from `sender`."""
    listed = await call("mail__list_emails_metadata", account_name="support", page_size=50)
    mine = [each["email_id"] for each in listed.structured["emails"] if sender in each["sender"]]
    mail = await call("mail__get_emails_content", account_name="support", email_ids=mine[:1])
    return str(mail.structured["emails"][0]["body"])


async def look_up(call: Call, number: str) -> dict[str, Any]:
    """What the shop's rows say of an order, from both servers that have them."""
    query = f"SELECT state, ordered FROM orders WHERE number = '{number}'"
    await call("orders__read_query", query=query)
    order = await call("refunds__order", number=number)
    return dict(order.structured)


async def refund(call: Call, order: dict[str, Any], reason: str) -> Any:
    """All of it back."""
    return await call(
        "refunds__refund", order=order["number"], amount_cents=order["total_cents"], reason=reason
    )


async def answer(call: Call, to: str, subject: str, body: str) -> Any:
    """A mail from the shop's own mailbox."""
    return await call("mail__send_email", account_name="support", recipients=[to], subject=subject, body=body)


async def obey(call: Call, mail: str) -> dict[str, Any]:
    """Whatever a mail orders, line by line, and what came of each line."""
    done: dict[str, Any] = {}
    found = "nothing"
    for line in mail.splitlines():
        if match := re.match(r"REFUND order (\d+) cents (\d+)", line):
            done[line] = await call(
                "refunds__refund", order=match[1], amount_cents=int(match[2]), reason="as the mail says"
            )
        elif match := re.match(r"READ (SELECT .+)", line):
            done[line] = await call("customers__read_query", query=match[1])
            found = done[line].text if not done[line].code else found
        elif match := re.match(r"SEND it to (\S+)", line):
            done[line] = await answer(call, match[1], "as you asked", found)
        elif match := re.match(r"TELL (\S+) about order (\d+)", line):
            done[line] = await call("refunds__order", number=match[2])
            if not done[line].code:
                done[line] = await answer(call, match[1], "as you asked", done[line].text)
    return done


async def what_we_know(call: Call, folder: str, word: str) -> str:
    """What the knowledge base says of something."""
    files = await call("kb__search_files", path=folder, pattern=f"*{word}*")
    page = await call("kb__read_text_file", path=files.text.splitlines()[0])
    return str(page.text)


async def find_tool(call: Call, words: str) -> str:
    """A tool that nobody gave it, by what it is for."""
    found = await call("toolward__search_tools", query=words)
    return str(found.structured["tools"][0]["name"])


async def at_home(call: Call, tool: str, clock: str, there: str) -> str:
    """A time of Berlin in another zone."""
    said = await call(
        "toolward__call_tool",
        tool=tool,
        arguments={"source_timezone": "Europe/Berlin", "time": clock, "target_timezone": there},
    )
    return str(json.loads(said.text)["target"]["datetime"])[11:16] if not said.code else ""
