package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.angarium.order.v1.ListOrdersRequest;
import com.angarium.order.v1.OrderServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;

/** Calls are distributed over the replicas, as configured in proto/service_config.json. */
final class ReplicasTest {
  private static final String REPLICAS = "ANGARIUM_ORDER_REPLICAS";
  private static final int ROUNDS = 10;

  @Test
  @EnabledIfEnvironmentVariable(named = REPLICAS, matches = ".+,.+")
  void takeTurns() throws IOException, InterruptedException {
    List<String> replicas = Arrays.asList(System.getenv(REPLICAS).split(","));
    Map<String, String> environment = new HashMap<>(System.getenv());
    environment.put("ANGARIUM_ORDERS", System.getenv(REPLICAS));
    try (Connection connection = Connection.fromEnvironment(environment)) {
      // The answers show that all of them are connected.
      Map<String, Integer> answered = new HashMap<>();
      for (int call = 0; call < 200 && answered.size() < replicas.size(); call++) {
        answered.merge(whoAnswers(connection), 1, Integer::sum);
        Thread.sleep(50);
      }
      answered.clear();
      for (int call = 0; call < ROUNDS * replicas.size(); call++) {
        answered.merge(whoAnswers(connection), 1, Integer::sum);
      }
      assertEquals(replicas.stream().collect(Collectors.toMap(replica -> replica, replica -> ROUNDS)), answered);
    }
  }

  /** The address of the replica that refuses the call without a token. */
  private static String whoAnswers(Connection connection) {
    AtomicReference<String> address = new AtomicReference<>();
    StatusRuntimeException error = assertThrows(StatusRuntimeException.class, () -> OrderServiceGrpc
        .newBlockingStub(connection.channel(OrderServiceGrpc.SERVICE_NAME))
        .withInterceptors(new Observer(address))
        .listOrders(ListOrdersRequest.getDefaultInstance()));
    assertEquals(Status.Code.UNAUTHENTICATED, error.getStatus().getCode(), error::getMessage);
    return address.get();
  }

  private record Observer(AtomicReference<String> address) implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
        @Override
        public void start(Listener<A> listener, Metadata headers) {
          super.start(new SimpleForwardingClientCallListener<>(listener) {
            @Override
            public void onClose(Status status, Metadata trailers) {
              Object from = getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
              address.set(String.valueOf(from).replaceFirst("^[^/]*/", ""));
              super.onClose(status, trailers);
            }
          }, headers);
        }
      };
    }
  }
}
