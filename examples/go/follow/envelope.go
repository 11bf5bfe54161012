package follow

import (
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"
)

// Envelope is what stands on an event: AMQP properties, CloudEvents attributes (binary mode), and trace context.
type Envelope struct {
	// EventID is the same however often the event is delivered.
	EventID string
	// Type is the full name of the protobuf message that the body is.
	Type string
	// Subject is the aggregate that the event is about, here the order; Sequence is the event's number among those of it.
	Subject  string
	Sequence uint64
	// Headers are those with a text, traceparent and tracestate among them.
	Headers propagation.MapCarrier
}

func envelopeOf(delivery amqp.Delivery) (Envelope, error) {
	headers := propagation.MapCarrier{}
	for name, value := range delivery.Headers {
		headers[name] = fmt.Sprint(value)
	}
	envelope := Envelope{
		EventID: delivery.MessageId,
		Type:    delivery.Type,
		Subject: headers["cloudEvents_subject"],
		Headers: headers,
	}
	sequence, err := strconv.ParseUint(headers["cloudEvents_sequence"], 10, 64)
	if err != nil || envelope.EventID == "" || envelope.Subject == "" {
		return envelope, &undecodable{fmt.Errorf("the envelope names no event id, no order or no sequence")}
	}
	envelope.Sequence = sequence
	return envelope, nil
}
