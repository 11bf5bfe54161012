package follow

import (
	"fmt"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/propagation"
)

// Envelope has an event's metadata: AMQP properties, CloudEvents attributes (binary mode), and trace context.
type Envelope struct {
	// EventID is the same for each delivery of the event.
	EventID string
	// Type is the full name of the body's protobuf message.
	Type string
	// Subject is the aggregate, here the order; Sequence is the aggregate's version.
	Subject  string
	Sequence uint64
	// Headers are the text headers, including traceparent and tracestate.
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
		return envelope, &undecodable{fmt.Errorf("the envelope has no event id, no order or no sequence")}
	}
	envelope.Sequence = sequence
	return envelope, nil
}
