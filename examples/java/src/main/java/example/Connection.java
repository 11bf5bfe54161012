package example;

import com.angarium.notification.v1.NotificationServiceGrpc;
import com.angarium.notification.v1.NotificationServiceGrpc.NotificationServiceBlockingStub;
import com.angarium.order.v1.OrderServiceGrpc;
import com.angarium.order.v1.OrderServiceGrpc.OrderServiceBlockingStub;
import com.angarium.user.v1.UserServiceGrpc;
import com.angarium.user.v1.UserServiceGrpc.UserServiceBlockingStub;
import com.google.gson.Gson;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.NameResolverRegistry;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A channel to each service. Create it once and share it between threads; channels connect on the first call. */
public final class Connection implements AutoCloseable {
  /** The default: a call without a deadline may wait forever. */
  private static final long DEADLINE_SECONDS = 10;

  private final Map<String, ManagedChannel> channels;

  static {
    NameResolverRegistry.getDefaultRegistry().register(new Replicas());
  }

  private Connection(Map<String, ManagedChannel> channels) {
    this.channels = channels;
  }

  /** Addresses from the environment; the defaults are those of {@code cargo run}. Each may list several replicas. */
  public static Connection fromEnvironment(Map<String, String> environment) throws IOException {
    ChannelCredentials credentials = credentials(environment.get("ANGARIUM_CA_FILE"));
    Map<String, ?> config = serviceConfig(
        Path.of(environment.getOrDefault("ANGARIUM_SERVICE_CONFIG", "../../proto/service_config.json")));
    return new Connection(Map.of(
        UserServiceGrpc.SERVICE_NAME,
        channel(environment.getOrDefault("ANGARIUM_USERS", "127.0.0.1:50051"), credentials, config),
        OrderServiceGrpc.SERVICE_NAME,
        channel(environment.getOrDefault("ANGARIUM_ORDERS", "127.0.0.1:50052"), credentials, config),
        NotificationServiceGrpc.SERVICE_NAME,
        channel(environment.getOrDefault("ANGARIUM_NOTIFICATIONS", "127.0.0.1:50053"), credentials, config)));
  }

  public UserServiceBlockingStub users() {
    return UserServiceGrpc.newBlockingStub(channel(UserServiceGrpc.SERVICE_NAME));
  }

  public OrderServiceBlockingStub orders() {
    return OrderServiceGrpc.newBlockingStub(channel(OrderServiceGrpc.SERVICE_NAME));
  }

  public NotificationServiceBlockingStub notifications() {
    return NotificationServiceGrpc.newBlockingStub(channel(NotificationServiceGrpc.SERVICE_NAME));
  }

  /** For calls that the stubs above do not cover. */
  public Channel channel(String service) {
    return channels.get(service);
  }

  /** Closes the channels and their open calls. */
  @Override
  public void close() {
    channels.values().forEach(ManagedChannel::shutdownNow);
  }

  /** Retries and load balancing. Gson reads numbers in the form that gRPC needs. */
  private static Map<String, ?> serviceConfig(Path file) throws IOException {
    @SuppressWarnings("unchecked")
    Map<String, ?> config = new Gson().fromJson(Files.readString(file), Map.class);
    return config;
  }

  private static ChannelCredentials credentials(String authorities) throws IOException {
    if (authorities == null || authorities.isEmpty()) {
      return InsecureChannelCredentials.create();
    }
    return TlsChannelCredentials.newBuilder().trustManager(new File(authorities)).build();
  }

  private static ManagedChannel channel(String replicas, ChannelCredentials credentials, Map<String, ?> config) {
    return Grpc.newChannelBuilder(Replicas.target(replicas), credentials)
        .defaultServiceConfig(config)
        .enableRetry()
        .intercept(new WithDeadline())
        .build();
  }

  private static final class WithDeadline implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      boolean isOpenEnded = options.getDeadline() == null && method.getType() == MethodDescriptor.MethodType.UNARY;
      return next.newCall(
          method, isOpenEnded ? options.withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS) : options);
    }
  }
}
