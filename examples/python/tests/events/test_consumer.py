"""consume.py beside a running system on a broker: its own queue, each event once, and the trace of the call that caused it."""

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest

from conftest import Person, System, line
from courier.connection import DEADLINE
from courier.patience import PATIENCE, eventually

from angarium.order.v1.order_events_pb2 import OrderPlaced
from angarium.order.v1.order_service_pb2 import CancelOrderRequest, PlaceOrderRequest

CONSUMER = Path(__file__).parents[2] / "consume.py"
QUEUE = os.environ.get("AMQP_PREFIX", "") + "example_orders_queue"


class Consumer:
    def __init__(self, process: subprocess.Popen[str], database: Path) -> None:
        self.process = process
        self._database = database
        self._said: list[dict[str, Any]] = []

    def says(self, **expected: object) -> dict[str, Any]:
        """The first matching line, now or later. If the consumer ends earlier, the test fails."""
        for said in self._lines():
            if all(said.get(name) == value for name, value in expected.items()):
                return said
        raise AssertionError(f"it ended before it printed {expected}: {self._said}")

    def _lines(self) -> Iterator[dict[str, Any]]:
        yield from self._said
        assert self.process.stdout
        for text in self.process.stdout:
            said: dict[str, Any] = json.loads(text)
            self._said.append(said)
            yield said

    def order(self, order_id: str) -> tuple[Any, ...] | None:
        with closing(sqlite3.connect(self._database)) as db:
            row: tuple[Any, ...] | None = db.execute(
                "SELECT state, sequence, currency, units FROM orders WHERE order_id = ?",
                (order_id,),
            ).fetchone()
            return row

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def consuming(folder: Path) -> Iterator[Consumer]:
    database = folder / "orders.db"
    process = subprocess.Popen(
        [sys.executable, str(CONSUMER)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ORDERS_DB": str(database)},
    )
    # The wait ends with the process, because its output ends.
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        consumer = Consumer(process, database)
        consumer.says(consuming=QUEUE)
        yield consumer
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def amqp_url() -> str:
    url = os.environ.get("AMQP_URL")
    assert url, (
        "set AMQP_URL to the broker of the running system: this test needs its events"
    )
    return url


def test_an_order_is_followed_by_its_events_in_the_trace_of_the_call(
    system: System, ada: Person, amqp_url: str, tmp_path: Path
) -> None:
    with consuming(tmp_path) as consumer:
        trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
        traced = (*ada.metadata, ("traceparent", f"00-{trace_id}-{span_id}-01"))
        order = system.connection.orders.PlaceOrder(
            PlaceOrderRequest(lines=[line(units=4, quantity=3)]), metadata=traced, timeout=DEADLINE
        ).order
        placed = consumer.says(order_id=order.order_id, sequence=1)
        assert placed["outcome"] == "applied"
        assert placed["type"] == "angarium.order.v1.OrderPlaced"
        assert placed["trace_id"] == trace_id
        assert consumer.order(order.order_id) == ("placed", 1, "EUR", 12)

        cancel(system, ada, order.order_id)
        cancelled = consumer.says(order_id=order.order_id, sequence=2)
        assert cancelled["type"] == "angarium.order.v1.OrderCancelled"
        assert consumer.order(order.order_id) == ("cancelled", 2, "EUR", 12)
        assert consumer.end() == 0


def test_what_happens_while_it_is_away_waits_in_its_queue(
    system: System, ada: Person, amqp_url: str, tmp_path: Path
) -> None:
    with consuming(tmp_path) as consumer:
        # Like a power cut.
        consumer.process.kill()
        consumer.process.wait()
    order = system.order(ada)
    cancel(system, ada, order.order_id)
    with consuming(tmp_path) as consumer:
        consumer.says(order_id=order.order_id, sequence=2, outcome="applied")
        assert consumer.order(order.order_id) == ("cancelled", 2, "EUR", 4)


def test_an_event_that_comes_twice_counts_once(
    system: System, amqp_url: str, tmp_path: Path
) -> None:
    with consuming(tmp_path) as consumer:
        event_id, order_id = str(uuid4()), str(uuid4())
        event = OrderPlaced(order_id=order_id)
        event.total_price.currency_code, event.total_price.units = "EUR", 7
        for outcome in ("applied", "seen"):
            send(amqp_url, event_id, order_id, OrderPlaced.DESCRIPTOR.full_name, event)
            consumer.says(event_id=event_id, outcome=outcome)
        assert consumer.order(order_id) == ("placed", 1, "EUR", 7)


def test_what_it_cannot_read_is_set_aside_and_what_it_does_not_know_is_skipped(
    system: System, amqp_url: str, tmp_path: Path
) -> None:
    with consuming(tmp_path) as consumer:
        newer, broken = str(uuid4()), str(uuid4())
        send(amqp_url, newer, str(uuid4()), "angarium.order.v1.OrderBurnt", b"\xff")
        assert consumer.says(event_id=newer)["outcome"] == "skipped"
        send(amqp_url, broken, str(uuid4()), OrderPlaced.DESCRIPTOR.full_name, b"\xff")
        assert "OrderPlaced" in consumer.says(rejected=broken)["why"]
        taken = eventually(
            lambda: asyncio.run(taken_from(amqp_url, f"{QUEUE}.dead_letters")),
            lambda taken: taken is not None,
        )
        assert taken == broken


def test_what_it_cannot_keep_it_does_not_acknowledge(
    system: System, amqp_url: str, tmp_path: Path
) -> None:
    event_id, order_id = str(uuid4()), str(uuid4())
    event = OrderPlaced(order_id=order_id)
    with consuming(tmp_path) as consumer:
        with closing(sqlite3.connect(tmp_path / "orders.db")) as db:
            db.execute("ALTER TABLE orders RENAME TO lost")
        send(amqp_url, event_id, order_id, OrderPlaced.DESCRIPTOR.full_name, event)
        consumer.says(failed=event_id)
        assert consumer.process.wait(PATIENCE) == 1
    with closing(sqlite3.connect(tmp_path / "orders.db")) as db:
        db.execute("ALTER TABLE lost RENAME TO orders")
    with consuming(tmp_path) as consumer:
        assert consumer.says(event_id=event_id)["outcome"] == "applied"


def cancel(system: System, person: Person, order_id: str) -> None:
    request = CancelOrderRequest(order_id=order_id)
    system.connection.orders.CancelOrder(request, metadata=person.metadata, timeout=DEADLINE)


def send(
    amqp_url: str, event_id: str, order_id: str, event_type: str, body: OrderPlaced | bytes
) -> None:
    """To the consumer's queue only, like a second delivery of the broker."""
    message = aio_pika.Message(
        body if isinstance(body, bytes) else body.SerializeToString(),
        message_id=event_id,
        type=event_type,
        content_type="application/protobuf",
        headers={"cloudEvents_subject": order_id, "cloudEvents_sequence": "1"},
    )

    async def publish() -> None:
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            await channel.default_exchange.publish(message, routing_key=QUEUE)

    asyncio.run(publish())


async def taken_from(amqp_url: str, queue: str) -> str | None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        message = await (await channel.get_queue(queue)).get(fail=False)
        if message is None:
            return None
        await message.ack()
        return message.message_id
