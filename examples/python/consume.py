"""Builds a view of the orders from their events only: number and total per state.

    AMQP_URL=amqp://user:password@127.0.0.1 python consume.py

It binds its own queue to `order_events`, and needs no call, no database and no code of Angarium except the contracts. It
commits the effect of an event to orders.db together with the event's id, and acknowledges after that: a repeated event
counts once, and none is lost, even if this program dies at any moment.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from opentelemetry import propagate, trace

from courier.orders import Orders, Undecodable
from courier.envelope import Envelope

QUEUE = "example_orders_queue"
EXCHANGE = "order_events"
PREFETCH = 20

tracer = trace.get_tracer("example-orders")


async def main() -> int:
    # The exit code, when it is known.
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, finish, end, 0)

    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1/")
    # The prefix of the services, if several systems share a broker.
    prefix = os.environ.get("AMQP_PREFIX", "")
    orders = Orders(Path(os.environ.get("ORDERS_DB", "orders.db")))

    # It reconnects automatically, and then declares and consumes again.
    connection = await aio_pika.connect_robust(url, client_properties={"connection_name": QUEUE})
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await declare(channel, prefix)
        await queue.consume(lambda message: handle(message, orders, end))
        report({"consuming": queue.name})
        return await end


async def declare(channel: AbstractChannel, prefix: str) -> AbstractQueue:
    # The exchange belongs to the order service, so it is only checked, not created. Without it, this fails.
    exchange = await channel.get_exchange(prefix + EXCHANGE, ensure=True)
    dead_letters = f"{prefix}{QUEUE}.dead_letters"
    await channel.declare_queue(dead_letters, durable=True, arguments={"x-queue-type": "quorum"})
    queue = await channel.declare_queue(
        prefix + QUEUE,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            # One active consumer at a time, so that the events of an order stay in sequence.
            "x-single-active-consumer": True,
            # An event that kills this program each time finally becomes a dead letter, without loss.
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead_letters,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    await queue.bind(exchange, routing_key="order.#")
    return queue


async def handle(
    message: AbstractIncomingMessage, orders: Orders, end: asyncio.Future[int]
) -> None:
    # The sender's trace context is the parent: one trace, from the call to this effect.
    envelope = Envelope.of(message)
    context = propagate.extract(envelope.headers)
    with tracer.start_as_current_span(
        f"process {QUEUE}", context, kind=trace.SpanKind.CONSUMER
    ) as span:
        try:
            outcome = orders.apply(envelope, message.body)
        except Undecodable as error:
            # A retry does not help: dead-letter it for an operator.
            await message.reject(requeue=False)
            report({"rejected": envelope.message_id, "why": str(error)})
            return
        except Exception as error:
            # The database, or a bug of this program. The unacknowledged event is delivered again to the next instance.
            report({"failed": envelope.message_id, "why": repr(error)})
            finish(end, 1)
            return
        await message.ack()
        report(
            {
                "outcome": outcome,
                "event_id": envelope.message_id,
                "type": envelope.event_type,
                "order_id": envelope.subject,
                "sequence": envelope.sequence,
                "source": envelope.source,
                "time": envelope.time,
                "trace_id": trace.format_trace_id(span.get_span_context().trace_id),
            }
        )


def finish(end: asyncio.Future[int], code: int) -> None:
    if not end.done():
        end.set_result(code)


def report(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
