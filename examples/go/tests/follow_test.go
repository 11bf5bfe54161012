package tests

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/grpc/metadata"

	"example.com/angarium/follow"
)

const traceID = "0af7651916cd43dd8448eb211c80319c"

func TestAnOrderIsFollowedInTheTraceOfTheCall(t *testing.T) {
	connection, url := connect(t), broker(t)
	ada := register(t, connection)
	orders, lines, end := following(t, url, filepath.Join(t.TempDir(), "orders.db"))
	traced := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	order := place(t, traced, connection, ada, "")
	placed := lines.says(t, func(line follow.Line) bool { return line.OrderID == order.OrderId && line.Sequence == 1 })
	if placed.Outcome != "applied" || placed.Type != "angarium.order.v1.OrderPlaced" || placed.TraceID != traceID {
		t.Errorf("%+v", placed)
	}
	cancel(t, connection, ada, order.OrderId)
	lines.says(t, func(line follow.Line) bool { return line.OrderID == order.OrderId && line.Sequence == 2 })
	want := follow.Order{State: "cancelled", Sequence: 2, Currency: "EUR", Units: 12}
	if known, err := orders.Order(order.OrderId); err != nil || known != want {
		t.Errorf("%+v, not %+v (%v)", known, want, err)
	}
	end()
}

func TestWhatHappensWhileItIsAwayWaitsAndCountsOnce(t *testing.T) {
	connection, url := connect(t), broker(t)
	ada := register(t, connection)
	file := filepath.Join(t.TempDir(), "orders.db")
	_, _, end := following(t, url, file)
	end()
	order := place(t, t.Context(), connection, ada, "")
	_, lines, end := following(t, url, file)
	placed := lines.says(t, func(line follow.Line) bool { return line.OrderID == order.OrderId })
	again(t, url, amqp.Publishing{
		MessageId: placed.EventID,
		Type:      placed.Type,
		Headers:   amqp.Table{"cloudEvents_subject": order.OrderId, "cloudEvents_sequence": "1"},
	})
	lines.says(t, func(line follow.Line) bool { return line.EventID == placed.EventID && line.Outcome == "seen" })
	end()
}

func TestWhatItCannotReadIsSetAside(t *testing.T) {
	url := broker(t)
	_, lines, end := following(t, url, filepath.Join(t.TempDir(), "orders.db"))
	headers := amqp.Table{"cloudEvents_subject": uuid.NewString(), "cloudEvents_sequence": "1"}
	for kind, outcome := range map[string]string{"OrderBurnt": "skipped", "OrderPlaced": "rejected"} {
		id := uuid.NewString()
		again(t, url, amqp.Publishing{MessageId: id, Type: "angarium.order.v1." + kind, Headers: headers, Body: []byte{0xff}})
		lines.says(t, func(line follow.Line) bool { return line.EventID == id && line.Outcome == outcome })
	}
	end()
}

type lines chan follow.Line

// Says waits for the line.
func (l lines) says(t *testing.T, is func(follow.Line) bool) follow.Line {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case line := <-l:
			if is(line) {
				return line
			}
		case <-limit:
			t.Fatal("it never says so")
		}
	}
}

// Following returns after the queue exists. end waits for the end.
func following(t *testing.T, url, file string) (*follow.Orders, lines, func()) {
	t.Helper()
	orders, err := follow.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	said, ended := make(lines, 1000), make(chan error, 1)
	go func() {
		ended <- follow.Follow(ctx, url, os.Getenv("AMQP_PREFIX"), orders, func(line follow.Line) { said <- line })
	}()
	select {
	case err := <-ended:
		stop()
		t.Fatal(err)
	case <-said:
	}
	return orders, said, func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := orders.Close(); err != nil {
			t.Error(err)
		}
	}
}

func broker(t *testing.T) string {
	t.Helper()
	url := os.Getenv("AMQP_URL")
	if url == "" {
		t.Skip("set AMQP_URL to the broker of the running system")
	}
	return url
}

// Again sends to the queue only, like a second delivery of the broker.
func again(t *testing.T, url string, message amqp.Publishing) {
	t.Helper()
	connection, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue := os.Getenv("AMQP_PREFIX") + "example_orders_go_queue"
	if err := channel.PublishWithContext(t.Context(), "", queue, false, false, message); err != nil {
		t.Fatal(err)
	}
}
