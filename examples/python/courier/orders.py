"""A view of the orders, built from their events; each event has one effect.

One transaction has the effect of an event and the event's id. An event with an existing id has had its effect.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from google.protobuf.message import DecodeError

from angarium.order.v1.order_events_pb2 import (
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderShipped,
)

from .envelope import Envelope

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    currency TEXT,
    units INTEGER,
    nanos INTEGER
) WITHOUT ROWID;
"""


class Undecodable(Exception):
    """The message does not match its envelope, so a retry does not help."""


class Orders:
    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as db:
            db.executescript(SCHEMA)

    def apply(self, envelope: Envelope, body: bytes) -> str:
        """Commits the effect of an event. Returns `applied`, `seen` for a repetition, or `skipped` for an unknown type."""
        effect = EFFECTS.get(envelope.event_type)
        if effect is None:
            # A newer producer may send unknown types. That is no reason to stop.
            return "skipped"
        if not envelope.message_id or not envelope.subject or envelope.sequence == 0:
            raise Undecodable("the envelope has no event id, no order or no sequence")
        with closing(self._open()) as db, db:
            db.execute("BEGIN IMMEDIATE")
            new = db.execute(
                "INSERT INTO seen (event_id) VALUES (?) ON CONFLICT DO NOTHING",
                (envelope.message_id,),
            )
            if new.rowcount == 0:
                return "seen"
            try:
                effect(db, envelope, body)
            except DecodeError as error:
                raise Undecodable(f"the body is no {envelope.event_type}: {error}") from error
            return "applied"

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10, isolation_level=None)


Effect = Callable[[sqlite3.Connection, Envelope, bytes], None]


def _placed(db: sqlite3.Connection, envelope: Envelope, body: bytes) -> None:
    event = OrderPlaced.FromString(body)
    total = event.total_price
    _state(db, envelope, "placed")
    db.execute(
        "UPDATE orders SET currency = ?, units = ?, nanos = ? WHERE order_id = ?",
        (total.currency_code, total.units, total.nanos, envelope.subject),
    )


def _confirmed(db: sqlite3.Connection, envelope: Envelope, body: bytes) -> None:
    OrderConfirmed.FromString(body)
    _state(db, envelope, "confirmed")


def _shipped(db: sqlite3.Connection, envelope: Envelope, body: bytes) -> None:
    OrderShipped.FromString(body)
    _state(db, envelope, "shipped")


def _cancelled(db: sqlite3.Connection, envelope: Envelope, body: bytes) -> None:
    OrderCancelled.FromString(body)
    _state(db, envelope, "cancelled")


def _state(db: sqlite3.Connection, envelope: Envelope, state: str) -> None:
    """Never backwards: an event that arrives after a later one of its order changes nothing."""
    db.execute(
        """
        INSERT INTO orders (order_id, state, sequence) VALUES (?, ?, ?)
        ON CONFLICT (order_id) DO UPDATE SET state = excluded.state, sequence = excluded.sequence
        WHERE excluded.sequence > orders.sequence
        """,
        (envelope.subject, state, envelope.sequence),
    )


EFFECTS: dict[str, Effect] = {
    OrderPlaced.DESCRIPTOR.full_name: _placed,
    OrderConfirmed.DESCRIPTOR.full_name: _confirmed,
    OrderShipped.DESCRIPTOR.full_name: _shipped,
    OrderCancelled.DESCRIPTOR.full_name: _cancelled,
}
