"""Poisoning checks: what a definition says to a model that its reader might not see or expect. Pure.

    examine(definition)               -> what the definition alone shows
    Neighbours(...).examine(version)  -> what it shows beside the other tools of the ward

Structural where that is possible (characters, names, sizes), words where it is not. Every check only informs;
what a pin, a policy and a person decide does not rest on it.
"""

from toolward.rules.findings.definition import examine
from toolward.rules.findings.names import Known, Neighbours
from toolward.rules.findings.renames import nameless, renamed_from

__all__ = ["Known", "Neighbours", "examine", "nameless", "renamed_from"]
