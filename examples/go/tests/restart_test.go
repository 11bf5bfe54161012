package tests

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc/connectivity"

	"example.com/angarium/courier"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
)

const (
	workers = 8
	// How long the services are down.
	away = 2 * time.Second
	// Calls that must succeed before each restart and after the last.
	calls = 50
)

// During a stop and a kill of the services, no retryable call fails (see proto/service_config.json).
func TestNoCallFailsThroughARestart(t *testing.T) {
	program := os.Getenv("ANGARIUM_PROGRAM")
	if program == "" {
		t.Skip("set ANGARIUM_PROGRAM to the path of the program angarium: this test stops and starts it")
	}
	port, data := freePorts(t), t.TempDir()
	t.Setenv("ANGARIUM_USERS", address(port))
	t.Setenv("ANGARIUM_ORDERS", address(port+1))
	t.Setenv("ANGARIUM_NOTIFICATIONS", address(port+2))
	services := start(t, program, port, data)
	defer func() { _ = services.Process.Kill() }()
	connection := connect(t)
	ready(t, connection)
	ada := register(t, connection)
	// A call may be refused until the order service knows the user.
	place(t, t.Context(), connection, ada, "")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var succeeded atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for ctx.Err() == nil {
				if err := placeOnce(t.Context(), connection, ada); err != nil {
					t.Error(courier.RefusalOf(err))
					return
				}
				succeeded.Add(1)
			}
		})
	}
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		eventually(t, &succeeded, succeeded.Load()+calls)
		_ = services.Process.Signal(end)
		_ = services.Wait()
		time.Sleep(away)
		services = start(t, program, port, data)
	}
	eventually(t, &succeeded, succeeded.Load()+calls)
	stop()
	working.Wait()
}

func placeOnce(ctx context.Context, connection *courier.Connection, by person) error {
	line := &orderv1.OrderLine{Sku: "TEA", Quantity: 1, UnitPrice: &money.Money{CurrencyCode: "EUR", Units: 4}}
	request := &orderv1.PlaceOrderRequest{Lines: []*orderv1.OrderLine{line}, RequestId: uuid.NewString()}
	_, err := connection.Orders.PlaceOrder(by.session.Context(ctx), request)
	return err
}

func start(t *testing.T, program string, port int, data string) *exec.Cmd {
	t.Helper()
	services := exec.Command(program)
	// No settings of another broker or database.
	services.Env = []string{
		"DATA_DIR=" + data, "GRPC_LISTEN=" + address(port), "GRPC_RATE_LIMIT=100000", "LOG_FILTER=error",
	}
	services.Stderr = os.Stderr
	if err := services.Start(); err != nil {
		t.Fatal(err)
	}
	return services
}

// Ready waits for the first start of the services.
func ready(t *testing.T, connection *courier.Connection) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 30*time.Second)
	defer end()
	for service, channel := range connection.Channels {
		channel.Connect()
		for state := channel.GetState(); state != connectivity.Ready; state = channel.GetState() {
			if !channel.WaitForStateChange(ctx, state) {
				t.Fatalf("%s is not there: %s", service, state)
			}
		}
	}
}

// Eventually waits until this many calls have succeeded, or one has failed.
func eventually(t *testing.T, succeeded *atomic.Int64, wanted int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); succeeded.Load() < wanted; time.Sleep(10 * time.Millisecond) {
		if t.Failed() {
			t.FailNow()
		}
		if time.Now().After(end) {
			t.Fatal("no call succeeds")
		}
	}
}

// FreePorts returns the first of three consecutive ports, one per service.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", address(0))
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, errSecond := net.Listen("tcp", address(port+1))
		third, errThird := net.Listen("tcp", address(port+2))
		_ = first.Close()
		if errSecond == nil {
			_ = second.Close()
		}
		if errThird == nil {
			_ = third.Close()
		}
		if errSecond == nil && errThird == nil {
			return port
		}
	}
	t.Fatal("no three consecutive ports are free")
	return 0
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
