package tests

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"

	"example.com/angarium/courier"
	orderv1 "example.com/angarium/gen/angarium/order/v1"
)

// Calls go to the replicas in turn, as proto/service_config.json says.
func TestReplicasTakeTurns(t *testing.T) {
	replicas := os.Getenv("ANGARIUM_ORDER_REPLICAS")
	if replicas == "" {
		t.Skip("set ANGARIUM_ORDER_REPLICAS to the addresses of two replicas, with a comma between them")
	}
	t.Setenv("ANGARIUM_ORDERS", replicas)
	connection := connect(t)
	answered := map[string]int{}
	// Whether all of them are connected shows in their answers. Each answers that a token is missing.
	for range 1000 {
		var from peer.Peer
		_, err := connection.Orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}, grpc.Peer(&from))
		if refusal := courier.RefusalOf(err); refusal.Code != codes.Unauthenticated {
			t.Fatal(refusal)
		}
		answered[from.Addr.String()]++
		if len(answered) == strings.Count(replicas, ",")+1 {
			break
		}
	}
	before := map[string]int{}
	for address, calls := range answered {
		before[address] = calls
	}
	const rounds = 10
	for range rounds * len(answered) {
		var from peer.Peer
		_, _ = connection.Orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}, grpc.Peer(&from))
		answered[from.Addr.String()]++
	}
	for address := range strings.SplitSeq(replicas, ",") {
		if calls := answered[address] - before[address]; calls != rounds {
			t.Errorf("%s answered %d of %d calls", address, calls, rounds*len(answered))
		}
	}
}
