// Consume builds a view of all orders from their events, and prints a line for each event:
//
//	AMQP_URL=amqp://user:password@127.0.0.1 go run ./consume
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"example.com/angarium/follow"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	orders, err := follow.Open(cmp.Or(os.Getenv("ORDERS_DB"), "orders.db"))
	if err != nil {
		return err
	}
	url := cmp.Or(os.Getenv("AMQP_URL"), "amqp://guest:guest@127.0.0.1/")
	lines := json.NewEncoder(os.Stdout)
	// AMQP_PREFIX of the services, if several systems share a broker.
	err = follow.Follow(ctx, url, os.Getenv("AMQP_PREFIX"), orders, func(line follow.Line) { _ = lines.Encode(line) })
	return errors.Join(err, orders.Close())
}
