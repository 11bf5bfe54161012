package example;

import com.angarium.order.v1.CancelOrderRequest;
import com.angarium.order.v1.GetOrderRequest;
import com.angarium.order.v1.Order;
import com.angarium.order.v1.OrderLine;
import com.angarium.order.v1.OrderState;
import com.angarium.order.v1.PlaceOrderRequest;
import com.angarium.order.v1.WatchOrderRequest;
import com.angarium.order.v1.WatchOrderResponse;
import com.angarium.user.v1.CreateUserRequest;
import com.google.type.Money;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.time.Duration;
import java.util.Iterator;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Registers, logs in, places an order, and watches it until its final state. It cancels the order after the first state, so that
 * there is an end to watch.
 */
public final class PlaceAndWatch {
  private static final String PASSWORD = "correct horse battery staple";
  /** The length of one stream before the next one; an order may take days. */
  private static final long WATCH_MINUTES = 30;

  private static final Set<Status.Code> GOES_ON = Set.of(Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED);

  private static final Set<OrderState> FINAL = Set.of(OrderState.ORDER_STATE_SHIPPED, OrderState.ORDER_STATE_CANCELLED);

  private final Connection connection;
  private final Session session;

  private PlaceAndWatch(Connection connection, Session session) {
    this.connection = connection;
    this.session = session;
  }

  public static void main(String[] arguments) throws IOException, InterruptedException {
    try (Connection connection = Connection.fromEnvironment(System.getenv())) {
      run(connection);
    } catch (StatusRuntimeException error) {
      System.err.println(Refusal.of(error));
      System.exit(1);
    }
  }

  private static void run(Connection connection) throws InterruptedException {
    String email = "ada.%s@example.com".formatted(UUID.randomUUID());
    connection.users().createUser(CreateUserRequest.newBuilder()
        .setEmail(email)
        .setPassword(PASSWORD)
        .setDisplayName("Ada")
        // A retry with the same id registers no second user.
        .setRequestId(UUID.randomUUID().toString())
        .build());
    Session session = Session.logIn(connection, email, PASSWORD);
    System.out.println("registered " + session.user().getUserId());

    PlaceAndWatch story = new PlaceAndWatch(connection, session);
    Order placed = story.place();
    System.out.println("ordered %s for %s".formatted(placed.getOrderId(), amount(placed.getTotalPrice())));

    story.watch(placed.getOrderId(), seen -> {
      System.out.println("state " + seen.getState());
      if (seen.getState() == OrderState.ORDER_STATE_PLACED) {
        story.cancel(seen);
      }
    });
    session.logOut();
  }

  private Order place() throws InterruptedException {
    PlaceOrderRequest request = PlaceOrderRequest.newBuilder()
        .addLines(line("TEA-EARL-GREY", 2, Money.newBuilder().setUnits(4).setNanos(500_000_000)))
        .addLines(line("CUP-BLUE", 1, Money.newBuilder().setUnits(12)))
        .setRequestId(UUID.randomUUID().toString())
        .build();
    return Patience.onceKnown(() -> session.call(
        () -> connection.orders().withCallCredentials(session).placeOrder(request).getOrder()));
  }

  /** Passes on each state of the order once. The stream ends with the order; a stream that ends earlier is restarted. */
  private void watch(String orderId, Consumer<Order> see) throws InterruptedException {
    WatchOrderRequest request = WatchOrderRequest.newBuilder().setOrderId(orderId).build();
    String seen = "";
    while (true) {
      try {
        Iterator<WatchOrderResponse> answers = connection.orders()
            .withCallCredentials(session)
            .withDeadlineAfter(WATCH_MINUTES, TimeUnit.MINUTES)
            .watchOrder(request);
        while (answers.hasNext()) {
          Order order = answers.next().getOrder();
          if (!order.getEtag().equals(seen)) {
            seen = order.getEtag();
            see.accept(order);
          }
        }
        return;
      } catch (StatusRuntimeException error) {
        Refusal refusal = Refusal.of(error);
        if (refusal.reason().equals("TOKEN_EXPIRED")) {
          session.refresh();
        } else if (refusal.reason().equals("EMAIL_NOT_VERIFIED")) {
          // Only users with a verified address may watch. Others poll.
          Order order = get(orderId);
          if (!order.getEtag().equals(seen)) {
            seen = order.getEtag();
            see.accept(order);
          }
          if (FINAL.contains(order.getState())) {
            return;
          }
          Patience.await(refusal, Duration.ofSeconds(1));
        } else if (GOES_ON.contains(refusal.code())) {
          // A server that shuts down gives a retry delay; the network gives none.
          Patience.await(refusal, Duration.ofSeconds(1));
        } else {
          throw error;
        }
      }
    }
  }

  private Order get(String orderId) {
    GetOrderRequest request = GetOrderRequest.newBuilder().setOrderId(orderId).build();
    return session.call(() -> connection.orders().withCallCredentials(session).getOrder(request).getOrder());
  }

  private void cancel(Order order) {
    CancelOrderRequest request = CancelOrderRequest.newBuilder()
        .setOrderId(order.getOrderId())
        .setReason("the cup was the wrong blue")
        .setRequestId(UUID.randomUUID().toString())
        // Only the version that was seen: not one that was confirmed meanwhile.
        .setEtag(order.getEtag())
        .build();
    session.call(() -> connection.orders().withCallCredentials(session).cancelOrder(request));
  }

  private static OrderLine line(String sku, int quantity, Money.Builder price) {
    return OrderLine.newBuilder()
        .setSku(sku)
        .setQuantity(quantity)
        .setUnitPrice(price.setCurrencyCode("EUR"))
        .build();
  }

  private static String amount(Money money) {
    return "%d.%02d %s".formatted(money.getUnits(), money.getNanos() / 10_000_000, money.getCurrencyCode());
  }
}
