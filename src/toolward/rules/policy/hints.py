"""The nearest thing that would be allowed, where a rule's own words say it plainly.

Only comparisons of one argument with a literal are put into words. A caller learns nothing from them that a
few more attempts would not show, since each attempt tells whether the argument was inside. An operator who
wants silence writes `@remedy("")`.
"""

from __future__ import annotations

from typing import Final

from cedarpy import pst

from toolward.rules.policy.conditions import conjuncts

_OPPOSITE: Final = {
    "less": "greater_eq",
    "less_eq": "greater",
    "greater": "less_eq",
    "greater_eq": "less",
    "eq": "not_eq",
    "not_eq": "eq",
    "decimal_less_than": "decimal_greater_eq",
    "decimal_less_eq": "decimal_greater",
    "decimal_greater": "decimal_less_eq",
    "decimal_greater_eq": "decimal_less_than",
}
_WORDS: Final = {
    "less": "below",
    "less_eq": "at most",
    "greater": "above",
    "greater_eq": "at least",
    "eq": "",
    "not_eq": "other than",
    "decimal_less_than": "below",
    "decimal_less_eq": "at most",
    "decimal_greater": "above",
    "decimal_greater_eq": "at least",
}


def hint(policy: pst.Template) -> str:
    """What the arguments must be so that this forbid no longer applies; "" if that can't be said plainly."""
    if policy.effect == "permit":
        return ""
    said = []
    for clause in policy.clauses:
        positive = isinstance(clause, pst.Unless)
        parts = [p for p in conjuncts(clause.expr) if not isinstance(p, pst.HasAttr)]
        # Each part of an `unless a && b` must hold. Of a `when a && b` breaking one is enough, so it must
        # be the only one for "must" to be true.
        if not positive and len(parts) != 1:
            continue
        words = [_say(p, positive=positive) for p in parts]
        if all(words):
            said += words
    return "; ".join(said)


def _say(node: pst.Expr, *, positive: bool) -> str:
    if isinstance(node, pst.UnaryOp) and node.op == "not":
        return _say(node.arg, positive=not positive)
    if isinstance(node, pst.Like):
        where = _argument(node.base)
        pattern = "".join("*" if isinstance(x, pst.Wildcard) else x.value for x in node.pattern)
        return f"`{where}` must {'' if positive else 'not '}match `{pattern}`" if where else ""
    if not isinstance(node, pst.BinaryOp):
        return ""
    if node.op == "contains" and isinstance(node.left, pst.Set):
        return _one_of(node.left, node.right, positive=positive)
    op = node.op if positive else _OPPOSITE.get(node.op, "")
    where, value = _argument(node.left), _literal(node.right)
    if not where or not value or op not in _WORDS:
        return ""
    return f"`{where}` must be {_WORDS[op]} {value}".replace("  ", " ")


def _one_of(options: pst.Set, chosen: pst.Expr, *, positive: bool) -> str:
    where, values = _argument(chosen), [_literal(x) for x in options.elements]
    if not where or not values or not all(values):
        return ""
    return f"`{where}` must {'' if positive else 'not '}be one of {', '.join(values)}"


def _argument(node: pst.Expr) -> str:
    """`arguments.a.b` for `context.args.a.b`, else ""."""
    steps = []
    while isinstance(node, pst.GetAttr):
        steps.append(node.attr)
        node = node.base
    if node != pst.Var("context") or len(steps) < 2 or steps[-1] != "args":  # noqa: PLR2004 -- args and a name
        return ""
    return ".".join(["arguments", *reversed(steps[:-1])])


def _literal(node: pst.Expr) -> str:
    if isinstance(node, pst.UnaryOp) and node.op == "decimal":
        return _literal(node.arg)
    if isinstance(node, pst.LongLit | pst.StringLit | pst.BoolLit):
        return f"`{str(node.value).lower() if isinstance(node.value, bool) else node.value}`"
    return ""
