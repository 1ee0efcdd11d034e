"""Words of a definition that speak to the model where they should describe the tool.

The patterns are looked for in `plain` text (small letters, single spaces, no look-alikes). Each is linear:
no repetition stands inside another. They were written against published attacks and kept only if they stayed
silent on the real servers of the catalogue.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from toolward.model.finding import Severity
from toolward.rules.lazily import pattern

_WARN, _NOTE = Severity.WARN, Severity.NOTE


class Pattern(NamedTuple):
    """What is looked for, and what is said of it."""

    id: str
    severity: Severity
    pattern: re.Pattern[str]
    says: str


def _any(*alternatives: str) -> re.Pattern[str]:
    return pattern("|".join(f"(?:{each})" for each in alternatives))


_SECRET_FILES: Final = (
    r"(?:~|\$home|/root|/home/[\w.<>{}-]{1,40})/\.(?!\w*cache)[\w.-]{2,40}",
    r"\bid_(?:rsa|ed25519|ecdsa)\b",
    r"/etc/(?:passwd|shadow|sudoers)\b",
    r"\.aws/credentials|\.kube/config|\.git-credentials|\.docker/config\.json",
    r"\.cursor/mcp\.json|claude_desktop_config|\bmcp\.json\b",
    r"(?:private|ssh|api) keys? (?:in|from|at|under) (?:the |your )?(?:file|director|home)",
    r"\bread (?:the )?(?:file )?\S{0,20}\.env\b",
)
PATTERNS: Final = (
    Pattern(
        "overrides_instructions",
        _WARN,
        _any(
            r"(?:ignore|disregard|forget|override|overrule) (?:\w+ ){0,4}"
            r"(?:instructions?|prompts?|guidelines|rules|tools|directions|context|policies)\b",
            r"\b(?:system|developer) (?:prompt|message|instructions?)\b",
            r"\byou are now\b|\bnew (?:instructions|role)\b|\bjailbreak",
        ),
        "speaks of the model's other instructions",
    ),
    Pattern(
        "hides_from_user",
        _WARN,
        _any(
            r"(?:do not|don't|dont|never|must not|should not|without) (?:\w+ ){0,3}"
            r"(?:tell|telling|inform|informing|mention|mentioning|reveal|revealing|notify|notifying|alert|"
            r"alerting|disclose|disclosing)\b(?: \w+){0,6} (?:users?|humans?|operators?|anyone)\b",
            r"\b(?:do not|don't|never) (?:mention|reveal|disclose|tell)\b",
            r"(?:hidden|invisible|secret|hide (?:this|it)|conceal\w*) (?:\w+ ){0,2}from (?:the )?user",
            r"\bsilently (?:send|forward|read|call|include|copy|add|execute|run|pass)",
            r"without (?:the )?user(?:'s)? (?:knowledge|noticing|knowing)",
            r"user (?:does not|doesn't|will not|won't|need not) (?:need to )?(?:know|see|notice)",
        ),
        "asks the model to keep something from the user",
    ),
    Pattern(
        "reads_secrets",
        _WARN,
        _any(*_SECRET_FILES),
        "names files that hold secrets",
    ),
    Pattern(
        "commands_model",
        _WARN,
        _any(
            r"\[?<?/?\b(?:important|system|instructions?|critical|secret|admin|sys)\b>(?=.)",
            r"\[(?:important|system|instruction|critical)\]",
            r"before (?:\w+ ){0,2}(?:using|calling|invoking|executing|execute|running|use|call|invoke|run) "
            r"(?:this|any|the|any other|every|each) (?:other )?(?:tool|function|operation)s?,? (?:you |first|"
            r"read|call|execute|run|send|open|access|always)",
            r"(?:before|after|when|whenever) (?:\w+ ){0,2}(?:execut|us|call|invok|run)\w* (?:the |any )?"
            r"[\w-]{1,40} (?:operation|tool|function)s?,? (?:always |you must |please |also )?"
            r"(?:execute|run|call|use|invoke) this (?:tool|function)",
            r"(?:always|must|shall) (?:also )?(?:execute|run|call|use|invoke) this (?:tool|function) "
            r"(?:first|before|after|instead|whenever|with every|for every)",
            r"(?:use|call|invoke) this (?:tool|function) (?:no matter|regardless|instead of)",
            r"whenever (?:you |the user |the agent )?(?:use|call|invoke|run)s? (?:any|another|every|other) "
            r"(?:other )?(?:tool|function)",
            r"(?:as|in|with|through) (?:the )?[`'\"]?[\w-]{1,40}[`'\"]? (?:parameter|argument|field)"
            r"(?: \w+){0,3}, (?:or|otherwise) (?:\w+ ){0,4}(?:will not work|fail)",
            r"(?:otherwise|or else) (?:this|the) (?:tool|function|application|system) (?:will not|won't|will "
            r"crash|can not|cannot)",
            r"\bbcc\b (?:\w+ ){0,4}\S+@\S+",
            r"(?:change|replace|redirect|set) the (?:recipient|address|phone number|destination)\w* "
            r"(?:\w+ ){0,3}(?:to|with|into)",
        ),
        "tells the model what else to do, where it should say what the tool does",
    ),
    Pattern(
        "asks_for_context",
        _WARN,
        _any(
            r"(?:entire|whole|full|complete|previous|prior|all) (?:\w+ ){0,3}(?:conversation|chat|dialogue|"
            r"message) ?(?:history|log|transcript|context)?\b",
            r"(?:conversation|chat) (?:history|transcript|log)\b",
            r"(?:list|names) of (?:all |every )?(?:the )?(?:available |other )?tools (?:available|you|that)",
        ),
        "asks for what the model was told, by whom, or with which tools",
    ),
    Pattern(
        "hidden_markup",
        _WARN,
        _any(r"<!--.{0,200}", r"\]\(javascript:", r"!\[[^\]]{0,80}\]\(https?://\S{0,80}\{"),
        "holds markup that is not shown when the text is",
    ),
    Pattern(
        "doubtful_url",
        _WARN,
        _any(
            r"https?://(?:\d{1,3}\.){3}\d{1,3}\b(?<!127\.0\.0\.1)(?<!0\.0\.0\.0)",
            r"https?://[^\s/]{0,200}xn--",
            r"https?://[^\s/@]{1,80}@",
            r"\bdata:[a-z]+/[\w.+-]+;base64,",
            r"https?://\S{0,200}[?&]\w+=(?:<|\{|\[)\w+(?:key|token|secret|history|prompt|conversation|password)",
            r"\b(?:curl|wget)\b.{0,120}\|\s{0,3}(?:sh|bash|python)",
        ),
        "names a destination that does not show what it is",
    ),
    Pattern("url", _NOTE, _any(r"https?://\S"), "names a destination on the network"),
)
CONTEXT_ARGUMENTS: Final = pattern(
    r"^(?:(?:conversation|chat|message|dialog(?:ue)?|tool_?call)s?_?(?:history|log|transcript|context)?|"
    r"(?:system|developer|full|original|user)_?(?:prompt|instructions?|message)|"
    r"(?:all|available|other)?_?tools?_?(?:list|names|available)|list_?of_?tools|"
    r"(?:chain_?of_?thought|llm_?context|model_?context|model_?name|previous_?messages))$"
)
"""Names of arguments that ask for the conversation, the prompt or the tools. Sought in `snake_case`."""
_NEVER: Final = frozenset({"message", "messages", "chat", "conversation", "conversations", "dialog"})
"""What a tool that sends a message, or works on conversations of its own, calls its arguments."""


def asks_by_name(name: str) -> bool:
    """Whether an argument of that name asks for the conversation, the prompt or the list of tools."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold().replace("-", "_")
    return snake not in _NEVER and CONTEXT_ARGUMENTS.match(snake) is not None
