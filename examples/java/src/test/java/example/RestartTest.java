package example;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.angarium.order.v1.OrderLine;
import com.angarium.order.v1.PlaceOrderRequest;
import com.angarium.user.v1.CreateUserRequest;
import com.google.type.Money;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** Through a stop and a kill of the services no call fails that may be repeated, as proto/service_config.json says. */
final class RestartTest {
  /** The path of the program angarium: it is stopped and started here. */
  private static final String PROGRAM = "ANGARIUM_PROGRAM";
  private static final String PASSWORD = "correct horse battery staple";
  private static final int WORKERS = 8;
  /** How long the services are away. */
  private static final Duration AWAY = Duration.ofSeconds(2);
  /** Calls that have to succeed before each restart and after the last. */
  private static final long CALLS = 50;
  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private final AtomicLong succeeded = new AtomicLong();
  private final AtomicReference<Refusal> failed = new AtomicReference<>();
  private final AtomicBoolean stopped = new AtomicBoolean();

  @Test
  @EnabledIfEnvironmentVariable(named = PROGRAM, matches = ".+")
  void noCallFailsThroughARestart(@TempDir Path data) throws IOException, InterruptedException {
    int port = freePorts();
    Map<String, String> environment = Map.of(
        "ANGARIUM_USERS", address(port),
        "ANGARIUM_ORDERS", address(port + 1),
        "ANGARIUM_NOTIFICATIONS", address(port + 2));
    Process services = start(port, data);
    ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
    try (Connection connection = Connection.fromEnvironment(environment)) {
      Session ada = register(connection);
      // Until the order service knows her, a call may be refused.
      Patience.onceKnown(() -> place(connection, ada));
      for (int worker = 0; worker < WORKERS; worker++) {
        workers.execute(() -> placeUntilStopped(connection, ada));
      }
      for (boolean kill : new boolean[] {false, true}) {
        awaitCalls();
        if (kill) {
          services.destroyForcibly();
        } else {
          services.destroy();
        }
        services.waitFor();
        Thread.sleep(AWAY.toMillis());
        services = start(port, data);
      }
      awaitCalls();
      stopped.set(true);
      workers.shutdown();
      assertTrue(workers.awaitTermination(PATIENCE.toSeconds(), TimeUnit.SECONDS));
      assertNull(failed.get(), () -> failed.get().toString());
    } finally {
      workers.shutdownNow();
      services.destroyForcibly().waitFor();
    }
  }

  private void placeUntilStopped(Connection connection, Session by) {
    while (!stopped.get()) {
      try {
        place(connection, by);
        succeeded.incrementAndGet();
      } catch (StatusRuntimeException error) {
        failed.compareAndSet(null, Refusal.of(error));
        return;
      }
    }
  }

  /** Until so many more calls have succeeded, or one has failed. */
  private void awaitCalls() throws InterruptedException {
    long wanted = succeeded.get() + CALLS;
    Instant end = Instant.now().plus(PATIENCE);
    while (succeeded.get() < wanted) {
      assertNull(failed.get(), () -> failed.get().toString());
      assertTrue(Instant.now().isBefore(end), "no call succeeds");
      Thread.sleep(10);
    }
  }

  private static Object place(Connection connection, Session by) {
    OrderLine line = OrderLine.newBuilder()
        .setSku("TEA")
        .setQuantity(1)
        .setUnitPrice(Money.newBuilder().setCurrencyCode("EUR").setUnits(4))
        .build();
    return connection.orders()
        .withCallCredentials(by)
        .placeOrder(PlaceOrderRequest.newBuilder()
            .addLines(line)
            .setRequestId(UUID.randomUUID().toString())
            .build());
  }

  /** Waits for the services, too: a call waits for a connection. */
  private static Session register(Connection connection) {
    String email = UUID.randomUUID() + "@example.com";
    connection.users()
        .withDeadlineAfter(PATIENCE.toSeconds(), TimeUnit.SECONDS)
        .createUser(CreateUserRequest.newBuilder()
            .setEmail(email)
            .setPassword(PASSWORD)
            .setDisplayName("Ada")
            .build());
    return Session.logIn(connection, email, PASSWORD);
  }

  private static Process start(int port, Path data) throws IOException {
    ProcessBuilder services = new ProcessBuilder(System.getenv(PROGRAM))
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.INHERIT);
    // Nothing of the broker and the databases of others.
    services.environment().clear();
    services.environment().putAll(Map.of(
        "DATA_DIR", data.toString(),
        "GRPC_LISTEN", address(port),
        "GRPC_RATE_LIMIT", "100000",
        "LOG_FILTER", "error"));
    return services.start();
  }

  /** The first of three ports in a row, one for each service. */
  private static int freePorts() throws IOException {
    for (int attempt = 0; attempt < 100; attempt++) {
      try (ServerSocket first = listen(0);
          ServerSocket second = listen(first.getLocalPort() + 1);
          ServerSocket third = listen(first.getLocalPort() + 2)) {
        assertTrue(List.of(first, second, third).stream().allMatch(ServerSocket::isBound));
        return first.getLocalPort();
      } catch (IOException | IllegalArgumentException taken) {
        // The next three.
      }
    }
    throw new IOException("there are no three free ports in a row");
  }

  private static ServerSocket listen(int port) throws IOException {
    return new ServerSocket(port, 1, InetAddress.getLoopbackAddress());
  }

  private static String address(int port) {
    return "127.0.0.1:" + port;
  }
}
