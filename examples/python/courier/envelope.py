"""What stands on an event's envelope: AMQP properties, CloudEvents attributes (binary mode), and trace context."""

from dataclasses import dataclass

from aio_pika.abc import AbstractIncomingMessage


@dataclass(frozen=True)
class Envelope:
    # The event's id, the same however often it is delivered: by it one tells what one has seen.
    message_id: str
    # The protobuf message that the body is, by its full name.
    event_type: str
    # The aggregate that the event is about, here the order; and the event's number among those of the aggregate: 1, 2, 3...
    subject: str
    sequence: int
    source: str
    time: str
    # All text headers, traceparent and tracestate among them.
    headers: dict[str, str]

    @classmethod
    def of(cls, message: AbstractIncomingMessage) -> "Envelope":
        headers = {name: _text(value) for name, value in message.headers.items()}
        sequence = headers.get("cloudEvents_sequence", "")
        return cls(
            message_id=message.message_id or "",
            event_type=message.type or "",
            subject=headers.get("cloudEvents_subject", ""),
            sequence=int(sequence) if sequence.isdecimal() else 0,
            source=headers.get("cloudEvents_source", ""),
            time=headers.get("cloudEvents_time", ""),
            headers=headers,
        )


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
