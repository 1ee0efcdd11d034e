"""What can be said of a policy's conditions without running them: what they look at, what they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from cedarpy import pst

from toolward.rules.policy import names
from toolward.rules.policy.names import Uid

Path = tuple[str, ...]


def uid_of(entity: pst.EntityUid) -> Uid:
    """A uid of the syntax tree as (type, id)."""
    return Uid(str(entity.type), entity.id)


def mentions(policy: pst.Template) -> frozenset[Path]:
    """Every path from `context` that the conditions can walk; `()` when they use the whole context."""
    return frozenset(path for clause in policy.clauses for path in _walk(clause.expr))


def _walk(node: Any) -> Iterator[Path]:
    if isinstance(node, pst.GetAttr | pst.HasAttr | pst.Var) and (path := _chain(node)) is not None:
        yield path
        return
    for child in _children(node):
        yield from _walk(child)


def _chain(node: pst.Expr) -> Path | None:
    """The path of `context.a.b` or `context.a has b.c`; None if it does not begin at `context`."""
    if isinstance(node, pst.Var):
        return () if node.name == "context" else None
    if isinstance(node, pst.GetAttr):
        before = _chain(node.base)
        return None if before is None else (*before, node.attr)
    if isinstance(node, pst.HasAttr):
        before = _chain(node.base)
        return None if before is None else (*before, *node.attrs)
    return None


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        yield from node.values()
    elif isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, type):
        for member in fields(node):
            yield getattr(node, member.name)


_AGENT_PATH: Final = pst.GetAttr(pst.Var("context"), "agent")


def looks_at_agent(policy: pst.Template) -> bool:
    """Whether the answer can depend on `context.agent`."""
    return any(not path or path[0] == "agent" for path in mentions(policy))


def agent_guard(policy: pst.Template) -> str | None:
    """The agent without which the policy can't apply: the first thing its first `when` asks, if that is it.

    Only the leftmost operand counts. It is evaluated first and can't fail, so for any other agent the
    policy is unsatisfied without an error, whatever stands behind.
    """
    if not policy.clauses or not isinstance(policy.clauses[0], pst.When):
        return None
    node: pst.Expr = policy.clauses[0].expr
    while isinstance(node, pst.BinaryOp) and node.op == "and":
        node = node.left
    if not isinstance(node, pst.BinaryOp) or node.op != "eq" or node.left != _AGENT_PATH:
        return None
    right = node.right
    if isinstance(right, pst.EntityLit) and str(right.value.type) == names.AGENT:
        return right.value.id
    return None


def with_agent(policy: pst.Template, agent: str) -> pst.Template:
    """The policy with `context.agent` replaced by the agent it is judged for; the answer is the same."""
    kind = pst.EntityType("Agent", (names.NAMESPACE,))
    literal = pst.EntityLit(pst.EntityUid(kind, agent))

    def put(node: Any) -> Any:
        if node == _AGENT_PATH:
            return literal
        if isinstance(node, Mapping):
            return pst.FrozenMap({k: put(v) for k, v in node.items()})
        if isinstance(node, tuple):
            return tuple(put(v) for v in node)
        if is_dataclass(node) and not isinstance(node, type):
            return replace(node, **{m.name: put(getattr(node, m.name)) for m in fields(node)})
        return node

    if ("agent",) not in mentions(policy):
        return policy
    return replace(policy, clauses=put(policy.clauses))


@dataclass(frozen=True, slots=True)
class Known:
    """What is already certain before a call is made: entities with their ancestors, and some paths.

    Ids and scalars at `paths`, e.g. `("call", "approved"): True` or `("agent",): (AGENT, "a")`.
    """

    principal: Uid | None = None
    action: Uid | None = None
    resource: Uid | None = None
    ancestors: Mapping[Uid, frozenset[Uid]] | None = None
    paths: Mapping[Path, object] | None = None


_UNKNOWN: Final = object()


def applies(policy: pst.Template, known: Known) -> bool | None:
    """Whether the conditions hold: True or False where that is certain, None where it is not.

    An error at run time counts as neither: a policy that is certain here may still err, and an error is a
    denial, so `True` of a forbid and `False` of a permit are safe grounds for saying "never allowed".
    """
    answer: object = True
    for clause in policy.clauses:
        value = _value(clause.expr, known)
        if isinstance(clause, pst.Unless):
            value = _not(value)
        answer = _and(answer, value)
    return answer if isinstance(answer, bool) else None


def idle(policy: pst.Template, known: Known) -> bool:
    """Whether the policy is certainly unsatisfied, and without an error, whatever else the call is like.

    Its first `when` is looked through from the left: what stands there is evaluated first, and where that can
    not fail, one thing that is certainly false settles it, whatever stands behind.
    """
    if not policy.clauses or not isinstance(policy.clauses[0], pst.When):
        return False
    for conjunct in conjuncts(policy.clauses[0].expr):
        if not _can_not_fail(conjunct):
            return False
        if _value(conjunct, known) is False:
            return True
    return False


def conjuncts(node: pst.Expr) -> Iterator[pst.Expr]:
    """`a && b && c`, from the left."""
    if isinstance(node, pst.BinaryOp) and node.op == "and":
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    else:
        yield node


def _can_not_fail(node: Any) -> bool:
    """Whether nothing in a validated expression can err: no arithmetic, no extension's function."""
    if isinstance(node, pst.GetAttr | pst.HasAttr):
        return _chain(node) is not None
    if isinstance(node, pst.UnaryOp):
        return node.op == "not" and _can_not_fail(node.arg)
    if isinstance(node, pst.BinaryOp):
        return node.op in _TOTAL and _can_not_fail(node.left) and _can_not_fail(node.right)
    if isinstance(node, pst.Set):
        return all(map(_can_not_fail, node.elements))
    return isinstance(node, pst.BoolLit | pst.LongLit | pst.StringLit | pst.EntityLit | pst.Var)


_TOTAL: Final = frozenset({"and", "or", "eq", "not_eq", "in"})
"""Operators that give an answer for whatever a validated policy gives them."""


def _not(value: object) -> object:
    return not value if isinstance(value, bool) else _UNKNOWN


def _and(left: object, right: object) -> object:
    if left is False or right is False:
        return False
    return True if left is True and right is True else _UNKNOWN


def _value(node: Any, known: Known) -> object:
    """Kleene's three values over the part of Cedar that concerns entities and fixed facts."""
    if isinstance(node, pst.BoolLit | pst.LongLit | pst.StringLit):
        return node.value
    if isinstance(node, pst.EntityLit):
        return uid_of(node.value)
    if isinstance(node, pst.Var):
        return _entity(node.name, known)
    if isinstance(node, pst.GetAttr):
        path = _chain(node)
        return _UNKNOWN if path is None else (known.paths or {}).get(path, _UNKNOWN)
    if isinstance(node, pst.UnaryOp):
        return _not(_value(node.arg, known)) if node.op == "not" else _UNKNOWN
    if isinstance(node, pst.BinaryOp):
        return _binary(node, known)
    if isinstance(node, pst.IfThenElse):
        return _choice(node, known)
    if isinstance(node, pst.Set):
        return tuple(_value(x, known) for x in node.elements)
    return _UNKNOWN


def _entity(name: str, known: Known) -> object:
    found = {"principal": known.principal, "action": known.action, "resource": known.resource}.get(name)
    return _UNKNOWN if found is None else found


def _choice(node: pst.IfThenElse, known: Known) -> object:
    condition = _value(node.cond, known)
    if isinstance(condition, bool):
        return _value(node.then_expr if condition else node.else_expr, known)
    return _UNKNOWN


def _binary(node: pst.BinaryOp, known: Known) -> object:
    left, right = _value(node.left, known), _value(node.right, known)
    if node.op == "and":
        return _and(left, right)
    if node.op == "or":
        return _not(_and(_not(left), _not(right)))
    if left is _UNKNOWN or right is _UNKNOWN:
        return _UNKNOWN
    return _BINARY[node.op](left, right, known) if node.op in _BINARY else _UNKNOWN


def _equal(left: object, right: object, _known: Known) -> object:
    # Only like with like and no sets: `1 == true` is no question a typed policy asks.
    if type(left) is not type(right) or _is_set(left) or _is_set(right):
        return _UNKNOWN
    return left == right


def _not_equal(left: object, right: object, known: Known) -> object:
    return _not(_equal(left, right, known))


def _in(left: object, right: object, known: Known) -> object:
    options = (right,) if isinstance(right, Uid) else right
    if not isinstance(left, Uid) or not isinstance(options, tuple):
        return _UNKNOWN
    if left in options:
        return True
    above = (known.ancestors or {}).get(left)
    if above is None or not all(isinstance(x, Uid) for x in options):
        return _UNKNOWN
    return any(x in above for x in options)


def _is_set(value: object) -> bool:
    return isinstance(value, tuple) and not isinstance(value, Uid)


_BINARY: Final[Mapping[str, Callable[[object, object, Known], object]]] = {
    "eq": _equal,
    "not_eq": _not_equal,
    "in": _in,
}
