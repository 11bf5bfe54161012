"""Follows the orders from the events alone: how many there are in which state, and what they come to.

    AMQP_URL=amqp://user:password@127.0.0.1 python consume.py

It binds a queue of its own to `order_events`, and needs nothing else of Angarium: no call, no database, no code but the
contracts. What it has understood of an event it commits to orders.db together with the event's id, and only then
acknowledges: an event that comes twice counts once, and none is lost, whenever this program dies.
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
    # With what exit code, once it is known.
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, finish, end, 0)

    url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1/")
    # As the services have it, where several systems share a broker.
    prefix = os.environ.get("AMQP_PREFIX", "")
    orders = Orders(Path(os.environ.get("ORDERS_DB", "orders.db")))

    # It connects again by itself, and then declares and consumes again.
    connection = await aio_pika.connect_robust(url, client_properties={"connection_name": QUEUE})
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await declare(channel, prefix)
        await queue.consume(lambda message: handle(message, orders, end))
        report({"consuming": queue.name})
        return await end


async def declare(channel: AbstractChannel, prefix: str) -> AbstractQueue:
    # The exchange is the order service's: it is looked for, not made. Without it, this fails and says so.
    exchange = await channel.get_exchange(prefix + EXCHANGE, ensure=True)
    dead_letters = f"{prefix}{QUEUE}.dead_letters"
    await channel.declare_queue(dead_letters, durable=True, arguments={"x-queue-type": "quorum"})
    queue = await channel.declare_queue(
        prefix + QUEUE,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            # One consumer at a time, however many are started: the events of an order stay in sequence.
            "x-single-active-consumer": True,
            # What kills this program each time is set aside in the end, and not lost on the way there.
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
    # What a message carries of its sender's trace is its parent here: one trace, from the call to this effect.
    envelope = Envelope.of(message)
    context = propagate.extract(envelope.headers)
    with tracer.start_as_current_span(
        f"process {QUEUE}", context, kind=trace.SpanKind.CONSUMER
    ) as span:
        try:
            outcome = orders.apply(envelope, message.body)
        except Undecodable as error:
            # It will not become better: aside, where somebody can look at it.
            await message.reject(requeue=False)
            report({"rejected": envelope.message_id, "why": str(error)})
            return
        except Exception as error:
            # The database, or a mistake of ours. Unacknowledged, the event is delivered again to whoever is started next.
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
