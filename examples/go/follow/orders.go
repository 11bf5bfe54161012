package follow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	orderv1 "example.com/angarium/gen/angarium/order/v1"
)

var (
	seenEvents = []byte("seen")
	allOrders  = []byte("orders")
)

// The state of an order after each event.
var effects = map[string]struct {
	state string
	event proto.Message
}{
	"angarium.order.v1.OrderPlaced":    {"placed", &orderv1.OrderPlaced{}},
	"angarium.order.v1.OrderConfirmed": {"confirmed", &orderv1.OrderConfirmed{}},
	"angarium.order.v1.OrderShipped":   {"shipped", &orderv1.OrderShipped{}},
	"angarium.order.v1.OrderCancelled": {"cancelled", &orderv1.OrderCancelled{}},
}

// Order is the state of an order from its events.
type Order struct {
	State    string `json:"state"`
	Sequence uint64 `json:"sequence"`
	Currency string `json:"currency,omitempty"`
	Units    int64  `json:"units,omitempty"`
}

// Orders is a view of the orders, built from their events. One transaction has the effect of an event
// and the event's id; an event with an existing id has had its effect.
type Orders struct{ db *bbolt.DB }

// The message does not match its envelope, so a retry does not help.
type undecodable struct{ error }

// Open opens the view, and creates an empty one if there is none.
func Open(path string) (*Orders, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, seen := tx.CreateBucketIfNotExists(seenEvents)
		_, orders := tx.CreateBucketIfNotExists(allOrders)
		return errors.Join(seen, orders)
	})
	return &Orders{db}, err
}

// Close closes the file.
func (o *Orders) Close() error { return o.db.Close() }

// Apply commits the effect of an event. Returns "applied", "seen" for a repetition, or "skipped" for an unknown type.
func (o *Orders) Apply(envelope Envelope, body []byte) (outcome string, err error) {
	effect, isKnown := effects[envelope.Type]
	if !isKnown {
		// A newer producer may send unknown types. That is no reason to stop.
		return "skipped", nil
	}
	event := proto.Clone(effect.event)
	if err := proto.Unmarshal(body, event); err != nil {
		return "", &undecodable{fmt.Errorf("the body is no %s: %w", envelope.Type, err)}
	}
	outcome = "applied"
	err = o.db.Update(func(tx *bbolt.Tx) error {
		seen, orders := tx.Bucket(seenEvents), tx.Bucket(allOrders)
		if seen.Get([]byte(envelope.EventID)) != nil {
			outcome = "seen"
			return nil
		}
		order, err := read(orders, envelope.Subject)
		if err != nil {
			return err
		}
		// Never backwards: an event that arrives after a later one of its order changes nothing.
		if envelope.Sequence > order.Sequence {
			order.State, order.Sequence = effect.state, envelope.Sequence
		}
		if placed, ok := event.(*orderv1.OrderPlaced); ok {
			order.Currency, order.Units = placed.GetTotalPrice().GetCurrencyCode(), placed.GetTotalPrice().GetUnits()
		}
		text, err := json.Marshal(order)
		if err != nil {
			return err
		}
		return errors.Join(orders.Put([]byte(envelope.Subject), text), seen.Put([]byte(envelope.EventID), []byte{1}))
	})
	return outcome, err
}

// Order is the view of this order; without a state, it is unknown.
func (o *Orders) Order(id string) (order Order, err error) {
	err = o.db.View(func(tx *bbolt.Tx) error {
		order, err = read(tx.Bucket(allOrders), id)
		return err
	})
	return order, err
}

func read(orders *bbolt.Bucket, id string) (order Order, err error) {
	if text := orders.Get([]byte(id)); text != nil {
		err = json.Unmarshal(text, &order)
	}
	return order, err
}
