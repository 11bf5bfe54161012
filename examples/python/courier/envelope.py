"""An event's metadata: AMQP properties, CloudEvents attributes (binary mode), and trace context."""

from dataclasses import dataclass

from aio_pika.abc import AbstractIncomingMessage


@dataclass(frozen=True)
class Envelope:
    # The event's id, the same for each delivery: use it to detect duplicates.
    message_id: str
    # The full name of the body's protobuf message.
    event_type: str
    # The aggregate, here the order; and its version: 1, 2, 3...
    subject: str
    sequence: int
    source: str
    time: str
    # All text headers, including traceparent and tracestate.
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
