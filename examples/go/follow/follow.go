// Package follow builds a view of the orders from their events only, with its own queue.
//
// It needs no call, no database and no code of Angarium except the contracts. It commits the effect of an event
// together with the event's id, and acknowledges after that: a repeated event counts once, and none is lost,
// even if this program dies at any moment.
package follow

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	queueName = "example_orders_go_queue"
	exchange  = "order_events"
	prefetch  = 20
)

// Line is the outcome of one event.
type Line struct {
	Outcome  string `json:"outcome"`
	EventID  string `json:"event_id,omitempty"`
	Type     string `json:"type,omitempty"`
	OrderID  string `json:"order_id,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
	TraceID  string `json:"trace_id,omitempty"`
	Why      string `json:"why,omitempty"`
}

// Follow applies each event to orders until ctx ends, and reports the outcome. If the connection is lost or an effect
// cannot be stored, it returns an error: unacknowledged events are delivered again to the next instance.
func Follow(ctx context.Context, url, prefix string, orders *Orders, report func(Line)) error {
	connection, err := amqp.DialConfig(url, amqp.Config{Properties: amqp.Table{"connection_name": queueName}})
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return err
	}
	queue, err := declare(channel, prefix)
	if err != nil {
		return err
	}
	deliveries, err := channel.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	closed := connection.NotifyClose(make(chan *amqp.Error, 1))
	report(Line{Outcome: "consuming"})
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-closed:
			return fmt.Errorf("the connection to the broker was lost: %w", err)
		case delivery, ok := <-deliveries:
			if !ok {
				// The other channel has the cause, or ctx has ended.
				deliveries = nil
				continue
			}
			if err := handle(ctx, delivery, orders, report); err != nil {
				return err
			}
		}
	}
}

func declare(channel *amqp.Channel, prefix string) (string, error) {
	// The exchange belongs to the order service, so it is only checked, not created. Without it, this fails.
	if err := channel.ExchangeDeclarePassive(prefix+exchange, "topic", true, false, false, false, nil); err != nil {
		return "", err
	}
	queue := prefix + queueName
	deadLetters := queue + ".dead_letters"
	if _, err := channel.QueueDeclare(deadLetters, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return "", err
	}
	_, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{
		"x-queue-type": "quorum",
		// One active consumer at a time, so that the events of an order stay in sequence.
		"x-single-active-consumer": true,
		// An event that kills this program each time finally becomes a dead letter, without loss.
		"x-delivery-limit":          20,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": deadLetters,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	})
	if err != nil {
		return "", err
	}
	return queue, channel.QueueBind(queue, "order.#", prefix+exchange, false, nil)
}

func handle(ctx context.Context, delivery amqp.Delivery, orders *Orders, report func(Line)) error {
	envelope, err := envelopeOf(delivery)
	// The sender's trace context is the parent: one trace, from the call to this effect.
	parent := propagation.TraceContext{}.Extract(ctx, envelope.Headers)
	_, span := otel.Tracer(queueName).Start(parent, "process "+queueName, trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	line := Line{
		EventID:  envelope.EventID,
		Type:     envelope.Type,
		OrderID:  envelope.Subject,
		Sequence: envelope.Sequence,
		TraceID:  span.SpanContext().TraceID().String(),
	}
	if err == nil {
		line.Outcome, err = orders.Apply(envelope, delivery.Body)
	}
	var broken *undecodable
	switch {
	case errors.As(err, &broken):
		// A retry does not help: dead-letter it for an operator.
		line.Outcome, line.Why = "rejected", broken.Error()
		err = delivery.Reject(false)
	case err != nil:
		// The database, or a bug of this program: the event stays unacknowledged.
		return err
	default:
		err = delivery.Ack(false)
	}
	report(line)
	return err
}
