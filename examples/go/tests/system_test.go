// Package tests runs the client against a running system, see ../README.md.
package tests

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/type/money"

	"example.com/angarium/courier"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
	userv1 "example.com/angarium/gen/angarium/user/v1"
)

const password = "correct horse battery staple"

type person struct {
	email   string
	session *courier.Session
}

func connect(t *testing.T) *courier.Connection {
	t.Helper()
	addresses := courier.FromEnvironment()
	addresses.ServiceConfig = "../" + addresses.ServiceConfig
	connection, err := courier.Connect(addresses)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// Register registers a user and logs them in.
func register(t *testing.T, connection *courier.Connection) person {
	t.Helper()
	email := uuid.NewString() + "@example.com"
	request := &userv1.CreateUserRequest{Email: email, Password: password, DisplayName: "Ada"}
	if _, err := connection.Users.CreateUser(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	session, err := courier.LogIn(t.Context(), connection, email, password)
	if err != nil {
		t.Fatal(err)
	}
	return person{email, session}
}

func place(t *testing.T, ctx context.Context, connection *courier.Connection, by person, requestID string) *orderv1.Order {
	t.Helper()
	line := &orderv1.OrderLine{Sku: "TEA", Quantity: 3, UnitPrice: &money.Money{CurrencyCode: "EUR", Units: 4}}
	request := &orderv1.PlaceOrderRequest{Lines: []*orderv1.OrderLine{line}, RequestId: requestID}
	placed, err := courier.OnceKnown(by.session.Context(ctx), func(ctx context.Context) (*orderv1.PlaceOrderResponse, error) {
		return connection.Orders.PlaceOrder(ctx, request)
	})
	if err != nil {
		t.Fatal(err)
	}
	return placed.Order
}

func cancel(t *testing.T, connection *courier.Connection, by person, orderID string) {
	t.Helper()
	request := &orderv1.CancelOrderRequest{OrderId: orderID}
	if _, err := connection.Orders.CancelOrder(by.session.Context(t.Context()), request); err != nil {
		t.Fatal(err)
	}
}
