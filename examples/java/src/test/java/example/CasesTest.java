package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.angarium.notification.v1.GetPreferencesRequest;
import com.angarium.notification.v1.NotificationServiceGrpc;
import com.angarium.order.v1.CancelOrderRequest;
import com.angarium.order.v1.OrderLine;
import com.angarium.order.v1.OrderServiceGrpc;
import com.angarium.order.v1.PlaceOrderRequest;
import com.angarium.user.v1.CreateUserRequest;
import com.angarium.user.v1.UserServiceGrpc;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import com.google.type.Money;
import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The refusals of ../cases.json, against a running system. */
final class CasesTest {
  private static final String PASSWORD = "correct horse battery staple";
  private static final List<ServiceDescriptor> SERVICES = List.of(
      UserServiceGrpc.getServiceDescriptor(),
      OrderServiceGrpc.getServiceDescriptor(),
      NotificationServiceGrpc.getServiceDescriptor());

  private static Connection connection;

  /** A call that must fail. Null: not part of the case. */
  private record WrongTurn(
      String name,
      String method,
      String as,
      JsonObject request,
      Status.Code code,
      String reason,
      Map<String, String> fields,
      List<Refusal.Precondition> preconditions,
      Refusal.Resource resource) {}

  private record Table(List<WrongTurn> refusals) {}

  @BeforeAll
  static void connect() throws IOException {
    connection = Connection.fromEnvironment(System.getenv());
  }

  @AfterAll
  static void close() {
    connection.close();
  }

  @TestFactory
  Stream<DynamicTest> refusals() throws IOException, InterruptedException {
    Map<String, Session> people = Map.of("ada", register(), "mallory", register());
    Session ada = people.get("ada");
    String requestId = UUID.randomUUID().toString();
    String text = Files.readString(Path.of("../cases.json"))
        .replace("$ORDER_ID", cancelledOrder(ada, requestId))
        .replace("$REQUEST_ID", requestId)
        .replace("$EMAIL", ada.user().getEmail())
        .replace("$USER_ID", ada.user().getUserId());
    List<WrongTurn> turns = new Gson().fromJson(text, Table.class).refusals();
    assertFalse(turns.isEmpty());
    return turns.stream().map(turn -> {
      Session caller = turn.as() == null ? null : people.get(turn.as());
      return dynamicTest(turn.name(), () -> isRefused(turn, caller));
    });
  }

  private static void isRefused(WrongTurn turn, Session caller) throws InvalidProtocolBufferException {
    MethodDescriptor<Message, Message> method = method(turn.method());
    Message.Builder request = prototype(method).newBuilderForType();
    JsonFormat.parser().merge(turn.request().toString(), request);
    StatusRuntimeException error = assertThrows(StatusRuntimeException.class, () -> ClientCalls.blockingUnaryCall(
        connection.channel(method.getServiceName()),
        method,
        CallOptions.DEFAULT.withCallCredentials(caller),
        request.build()));
    Refusal refusal = Refusal.of(error);
    assertEquals(List.of(turn.code(), turn.reason()), List.of(refusal.code(), refusal.reason()), refusal::toString);
    assertEquals("angarium", refusal.domain());
    assertEquals(Optional.ofNullable(turn.fields()).orElse(refusal.fields()), refusal.fields());
    assertEquals(Optional.ofNullable(turn.preconditions()).orElse(refusal.preconditions()), refusal.preconditions());
    assertEquals(Optional.ofNullable(turn.resource()).or(refusal::resource), refusal.resource());
  }

  private static Session register() throws InterruptedException {
    String email = UUID.randomUUID() + "@example.com";
    connection.users().createUser(CreateUserRequest.newBuilder()
        .setEmail(email)
        .setPassword(PASSWORD)
        .setDisplayName("Ada")
        .build());
    Session session = Session.logIn(connection, email, PASSWORD);
    Patience.onceKnown(() -> connection.notifications()
        .withCallCredentials(session)
        .getPreferences(GetPreferencesRequest.getDefaultInstance()));
    return session;
  }

  private static String cancelledOrder(Session ada, String requestId) throws InterruptedException {
    OrderLine line = OrderLine.newBuilder()
        .setSku("TEA")
        .setQuantity(3)
        .setUnitPrice(Money.newBuilder().setCurrencyCode("EUR").setUnits(4))
        .build();
    PlaceOrderRequest request = PlaceOrderRequest.newBuilder().addLines(line).setRequestId(requestId).build();
    String orderId = Patience.onceKnown(() -> connection.orders().withCallCredentials(ada).placeOrder(request))
        .getOrder()
        .getOrderId();
    connection.orders()
        .withCallCredentials(ada)
        .cancelOrder(CancelOrderRequest.newBuilder().setOrderId(orderId).build());
    return orderId;
  }

  /** A method by name, with the generated types. */
  @SuppressWarnings("unchecked")
  private static MethodDescriptor<Message, Message> method(String name) {
    return (MethodDescriptor<Message, Message>) SERVICES.stream()
        .flatMap(service -> service.getMethods().stream())
        .filter(method -> method.getFullMethodName().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private static Message prototype(MethodDescriptor<Message, Message> method) {
    return ((PrototypeMarshaller<Message>) method.getRequestMarshaller()).getMessagePrototype();
  }
}
