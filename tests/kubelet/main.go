// Probes a gRPC service as the kubelet does: plaintext, its user agent, a connection for each probe that lingers for a second at
// most, and one limit for all of it.
//
//	go run . -addr 127.0.0.1:50051 -service angarium.user.v1.UserService -timeout 1s
//
// It prints what the kubelet would record, and exits with 0 (success), 1 (failure) or 2 (bad arguments).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func main() {
	addr := flag.String("addr", "", "host and port")
	service := flag.String("service", "", "the service field of the probe; empty by default, as in the kubelet")
	timeout := flag.Duration("timeout", time.Second, "timeoutSeconds of the probe")
	flag.Parse()
	if *addr == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	verdict, healthy := probe(*addr, *service, *timeout)
	fmt.Println(verdict)
	if !healthy {
		os.Exit(1)
	}
}

func probe(addr, service string, timeout time.Duration) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	//nolint:staticcheck // The kubelet dials and waits, so that a port without a listener is a failure of its own.
	conn, err := grpc.DialContext(ctx, addr,
		grpc.WithUserAgent("kube-probe/1.36"),
		grpc.WithBlock(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
	)
	if err != nil {
		return fmt.Sprintf("timeout: failed to connect service %q within %v: %v", addr, timeout, err), false
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		if status.Code(err) == codes.Unimplemented {
			return fmt.Sprintf("error: this server does not implement the grpc health protocol: %v", err), false
		}
		return fmt.Sprintf("error: health rpc probe failed: %v", err), false
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Sprintf("service unhealthy (responded with %q)", answer.GetStatus().String()), false
	}
	return "service healthy", true
}

// With the kubelet's option: so many probes would leave so many ports waiting on the node.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(1)
	}
	return conn, err
}
