// Order registers, logs in, places an order, and watches it until its final state:
//
//	go run ./order
//
// It cancels the order after the first state, so that there is an end to watch.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc/codes"

	"example.com/angarium/courier"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
	userv1 "example.com/angarium/gen/angarium/user/v1"
)

const (
	password = "correct horse battery staple"
	// The length of one stream before the next one; an order may take days.
	watch = 30 * time.Minute
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(courier.RefusalOf(err))
	}
}

func run(ctx context.Context) error {
	connection, err := courier.Connect(courier.FromEnvironment())
	if err != nil {
		return err
	}
	defer connection.Close()
	email := fmt.Sprintf("ada.%s@example.com", uuid.New())
	if _, err := connection.Users.CreateUser(ctx, &userv1.CreateUserRequest{
		Email:       email,
		Password:    password,
		DisplayName: "Ada",
		// A retry with the same id registers no second user.
		RequestId: uuid.NewString(),
	}); err != nil {
		return err
	}
	session, err := courier.LogIn(ctx, connection, email, password)
	if err != nil {
		return err
	}
	fmt.Println("registered", session.User.UserId)

	placed, err := place(ctx, connection, session)
	if err != nil {
		return err
	}
	fmt.Println("ordered", placed.OrderId, "for", amount(placed.TotalPrice))

	err = follow(ctx, connection, session, placed.OrderId, func(order *orderv1.Order) error {
		fmt.Println("state", order.State)
		if order.State != orderv1.OrderState_ORDER_STATE_PLACED {
			return nil
		}
		return cancel(ctx, connection, session, order)
	})
	return errors.Join(err, session.LogOut(ctx))
}

func place(ctx context.Context, connection *courier.Connection, session *courier.Session) (*orderv1.Order, error) {
	request := &orderv1.PlaceOrderRequest{
		Lines: []*orderv1.OrderLine{
			{Sku: "TEA-EARL-GREY", Quantity: 2, UnitPrice: &money.Money{CurrencyCode: "EUR", Units: 4, Nanos: 500_000_000}},
			{Sku: "CUP-BLUE", Quantity: 1, UnitPrice: &money.Money{CurrencyCode: "EUR", Units: 12}},
		},
		RequestId: uuid.NewString(),
	}
	return courier.OnceKnown(ctx, func(ctx context.Context) (*orderv1.Order, error) {
		return courier.Call(ctx, session, func(ctx context.Context) (*orderv1.Order, error) {
			answer, err := connection.Orders.PlaceOrder(ctx, request)
			return answer.GetOrder(), err
		})
	})
}

// Follow passes on each state of the order once. The stream ends with the order; a stream that ends earlier is restarted.
func follow(ctx context.Context, connection *courier.Connection, session *courier.Session, orderID string,
	see func(*orderv1.Order) error) error {
	seen := ""
	once := func(order *orderv1.Order) error {
		if order.Etag == seen {
			return nil
		}
		seen = order.Etag
		return see(order)
	}
	for {
		err := stream(ctx, connection, session, orderID, once)
		if err == nil || ctx.Err() != nil {
			return err
		}
		refusal := courier.RefusalOf(err)
		switch {
		case refusal.Reason == "TOKEN_EXPIRED":
			err = session.Refresh(ctx)
		case refusal.Reason == "EMAIL_NOT_VERIFIED":
			// Only users with a verified address may watch. Others poll.
			var order *orderv1.Order
			if order, err = get(ctx, connection, session, orderID); err != nil {
				return err
			}
			if err = once(order); err != nil || isFinal(order) {
				return err
			}
			err = refusal.Wait(ctx, time.Second)
		case refusal.Code == codes.Unavailable || refusal.Code == codes.DeadlineExceeded:
			// A server that shuts down gives a retry delay; the network gives none.
			err = refusal.Wait(ctx, time.Second)
		}
		if err != nil {
			return err
		}
	}
}

// Stream returns nil after the final state.
func stream(ctx context.Context, connection *courier.Connection, session *courier.Session, orderID string,
	see func(*orderv1.Order) error) error {
	ctx, end := context.WithTimeout(session.Context(ctx), watch)
	defer end()
	answers, err := connection.Orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID})
	if err != nil {
		return err
	}
	for {
		answer, err := answers.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := see(answer.Order); err != nil {
			return err
		}
	}
}

func get(ctx context.Context, connection *courier.Connection, session *courier.Session, orderID string) (*orderv1.Order, error) {
	return courier.Call(ctx, session, func(ctx context.Context) (*orderv1.Order, error) {
		answer, err := connection.Orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		return answer.GetOrder(), err
	})
}

func isFinal(order *orderv1.Order) bool {
	return order.State == orderv1.OrderState_ORDER_STATE_SHIPPED || order.State == orderv1.OrderState_ORDER_STATE_CANCELLED
}

func cancel(ctx context.Context, connection *courier.Connection, session *courier.Session, order *orderv1.Order) error {
	request := &orderv1.CancelOrderRequest{
		OrderId:   order.OrderId,
		Reason:    "the cup was the wrong blue",
		RequestId: uuid.NewString(),
		// Only the version that was seen: not one that was confirmed meanwhile.
		Etag: order.Etag,
	}
	_, err := courier.Call(ctx, session, func(ctx context.Context) (*orderv1.CancelOrderResponse, error) {
		return connection.Orders.CancelOrder(ctx, request)
	})
	return err
}

func amount(money *money.Money) string {
	return fmt.Sprintf("%d.%02d %s", money.GetUnits(), money.GetNanos()/10_000_000, money.GetCurrencyCode())
}
