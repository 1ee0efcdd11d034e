"""The shop's own tools: one order at a time, and money back for it. Each call runs by itself in a cage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Annotated

_SHOP = "@HERE@/data/shop/shop.db"
_CUSTOMERS = "@HERE@/data/customers/customers.db"

Number = Annotated[str, "Four digits."]


def order(number: Number) -> dict[str, str | int]:
    """One order: what, when, how much, its customer's address, and what is refunded of it."""
    with closing(sqlite3.connect(_SHOP)) as shop:
        row = shop.execute(
            "SELECT number, customer, item, total_cents, state, note FROM orders WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            raise ValueError(f"no order {number}")
        refunded = _refunded(shop, number)
    with closing(sqlite3.connect(_CUSTOMERS)) as people:
        (email,) = people.execute("SELECT email FROM customers WHERE id = ?", (row[1],)).fetchone()
    return {
        "number": row[0],
        "email": email,
        "item": row[2],
        "total_cents": row[3],
        "state": row[4],
        "note": row[5],
        "refunded_cents": refunded,
    }


def refund(order: Number, amount_cents: int, reason: str) -> dict[str, str | int]:
    """Give money back for an order. Never more than was paid for it."""
    with closing(sqlite3.connect(_SHOP)) as shop, shop:
        shop.execute("BEGIN IMMEDIATE")
        found = shop.execute("SELECT total_cents FROM orders WHERE number = ?", (order,)).fetchone()
        if found is None:
            raise ValueError(f"no order {order}")
        if _refunded(shop, order) + amount_cents > found[0]:
            raise ValueError("that is more than was paid")
        made = shop.execute(
            "INSERT INTO refunds(order_number, cents, reason, state) VALUES (?, ?, ?, 'made')",
            (order, amount_cents, reason),
        )
        return {"refund": f"R{made.lastrowid}", "order": order, "amount_cents": amount_cents}


def cancel(refund: str) -> dict[str, str]:
    """Take a refund back before it is paid out. Cancelling it again changes nothing."""
    with closing(sqlite3.connect(_SHOP)) as shop, shop:
        shop.execute("UPDATE refunds SET state = 'cancelled' WHERE id = ?", (refund.removeprefix("R"),))
    return status(refund)


def status(refund: str) -> dict[str, str]:
    """What became of a refund."""
    with closing(sqlite3.connect(_SHOP)) as shop:
        found = shop.execute(
            "SELECT order_number, state FROM refunds WHERE id = ?", (refund.removeprefix("R"),)
        ).fetchone()
    if found is None:
        raise ValueError(f"no refund {refund}")
    return {"refund": refund, "order": found[0], "state": found[1]}


def _refunded(shop: sqlite3.Connection, number: str) -> int:
    (cents,) = shop.execute(
        "SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_number = ? AND state = 'made'", (number,)
    ).fetchone()
    return int(cents)
