// Package courier has what a client of Angarium needs: connections, a session, error details, and retries.
package courier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // Enables client-side health checks.
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	notificationv1 "example.com/angarium/gen/angarium/notification/v1"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
	userv1 "example.com/angarium/gen/angarium/user/v1"
)

// Deadline is the default: a call without one may wait forever.
const Deadline = 10 * time.Second

// Addresses of the services. Each may list several replicas, separated by commas.
type Addresses struct {
	Users, Orders, Notifications string
	// CAFile has the trusted authorities, as PEM. Empty: plaintext, for local use.
	CAFile string
	// ServiceConfig is proto/service_config.json: retries, and load balancing.
	ServiceConfig string
}

// FromEnvironment reads the addresses from the environment; the defaults are those of `cargo run`.
func FromEnvironment() Addresses {
	return Addresses{
		Users:         environment("ANGARIUM_USERS", "127.0.0.1:50051"),
		Orders:        environment("ANGARIUM_ORDERS", "127.0.0.1:50052"),
		Notifications: environment("ANGARIUM_NOTIFICATIONS", "127.0.0.1:50053"),
		CAFile:        os.Getenv("ANGARIUM_CA_FILE"),
		ServiceConfig: environment("ANGARIUM_SERVICE_CONFIG", "../../proto/service_config.json"),
	}
}

// Connection has a channel to each service. Create it once and share it between goroutines.
type Connection struct {
	Users         userv1.UserServiceClient
	Orders        orderv1.OrderServiceClient
	Notifications notificationv1.NotificationServiceClient
	// Channels by service name, for calls that the clients above do not cover.
	Channels map[string]*grpc.ClientConn
}

// Connect creates the channels; they connect on the first call.
func Connect(addresses Addresses) (*Connection, error) {
	options, err := dialOptions(addresses)
	if err != nil {
		return nil, err
	}
	connection := &Connection{Channels: map[string]*grpc.ClientConn{}}
	for service, replicas := range map[string]string{
		userv1.UserService_ServiceDesc.ServiceName:                 addresses.Users,
		orderv1.OrderService_ServiceDesc.ServiceName:               addresses.Orders,
		notificationv1.NotificationService_ServiceDesc.ServiceName: addresses.Notifications,
	} {
		channel, err := dial(replicas, options)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", service, err), connection.Close())
		}
		connection.Channels[service] = channel
	}
	connection.Users = userv1.NewUserServiceClient(connection.Channels[userv1.UserService_ServiceDesc.ServiceName])
	connection.Orders = orderv1.NewOrderServiceClient(connection.Channels[orderv1.OrderService_ServiceDesc.ServiceName])
	connection.Notifications = notificationv1.NewNotificationServiceClient(
		connection.Channels[notificationv1.NotificationService_ServiceDesc.ServiceName])
	return connection, nil
}

// Close closes the channels and their open calls.
func (c *Connection) Close() error {
	var failed []error
	for _, channel := range c.Channels {
		failed = append(failed, channel.Close())
	}
	return errors.Join(failed...)
}

func dialOptions(addresses Addresses) ([]grpc.DialOption, error) {
	config, err := os.ReadFile(addresses.ServiceConfig)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if addresses.CAFile != "" {
		authorities, err := os.ReadFile(addresses.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", addresses.CAFile)
		}
		transport = credentials.NewClientTLSFromCert(pool, "")
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithUnaryInterceptor(withDeadline),
	}, nil
}

// Dial takes a list of replicas. If one name has the addresses of all, `dns:///orders:50052` does the same.
func dial(replicas string, options []grpc.DialOption) (*grpc.ClientConn, error) {
	var state resolver.State
	for address := range strings.SplitSeq(replicas, ",") {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		one := resolver.Address{Addr: address, ServerName: host}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{one}})
	}
	list := manual.NewBuilderWithScheme("replicas")
	list.InitialState(state)
	return grpc.NewClient("replicas:///angarium", append(options, grpc.WithResolvers(list))...)
}

func withDeadline(ctx context.Context, method string, request, reply any, channel *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Deadline)
		defer cancel()
	}
	return invoke(ctx, method, request, reply, channel, options...)
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
