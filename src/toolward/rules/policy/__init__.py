"""Policy: Cedar with types from the tools' own schemas, fail-closed, with askable forbids.

policy_text ─▶ check ─▶ engine ─▶ profile        what a ward compiles and asks
     argument_types ─▶ cedar_schema ┘ │
slicing, conditions, prepared, cedar_request     what makes one decision cheap
ceiling, wording, hints                          what is said
"""

from toolward.rules.policy.cedar_schema import Vocabulary, read_vocabulary
from toolward.rules.policy.ceiling import Ceiling, ceiling_policy
from toolward.rules.policy.check import Finding, Severity, check_policies
from toolward.rules.policy.engine import Explanation, PolicyBook
from toolward.rules.policy.policy_text import Policy
from toolward.rules.policy.profile import Book, ObservingBook, Profile, compile_profile

__all__ = [
    "Book",
    "Ceiling",
    "Explanation",
    "Finding",
    "ObservingBook",
    "Policy",
    "PolicyBook",
    "Profile",
    "Severity",
    "Vocabulary",
    "ceiling_policy",
    "check_policies",
    "compile_profile",
    "read_vocabulary",
]
