package tests

import (
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"example.com/angarium/courier"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
)

// Calls are distributed over the replicas, as configured in proto/service_config.json.
func TestReplicasTakeTurns(t *testing.T) {
	replicas := os.Getenv("ANGARIUM_ORDER_REPLICAS")
	if replicas == "" {
		t.Skip("set ANGARIUM_ORDER_REPLICAS to the addresses of two replicas, separated by a comma")
	}
	t.Setenv("ANGARIUM_ORDERS", replicas)
	connection := connect(t)
	answered := map[string]int{}
	count := func() {
		t.Helper()
		var from peer.Peer
		_, err := connection.Orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}, grpc.Peer(&from))
		// Each call fails, because it has no token.
		if refusal := courier.RefusalOf(err); refusal.Code != codes.Unauthenticated {
			t.Fatal(refusal)
		}
		answered[from.Addr.String()]++
	}
	// The answers show that all of them are connected.
	all := strings.Count(replicas, ",") + 1
	for end := time.Now().Add(10 * time.Second); len(answered) < all && time.Now().Before(end); {
		count()
		time.Sleep(50 * time.Millisecond)
	}
	clear(answered)
	const rounds = 10
	for range rounds * all {
		count()
	}
	for address := range strings.SplitSeq(replicas, ",") {
		if calls := answered[address]; calls != rounds {
			t.Errorf("%s answered %d of %d calls", address, calls, rounds*all)
		}
	}
}
