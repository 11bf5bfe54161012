package example;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;

/** Resolves a list of replicas. If one name has the addresses of all, {@code dns:///orders:50052} does the same. */
final class Replicas extends NameResolverProvider {
  private static final String SCHEME = "replicas";

  /** The target for addresses separated by commas. */
  static String target(String addresses) {
    return SCHEME + ":///" + addresses;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    if (!SCHEME.equals(target.getScheme())) {
      return null;
    }
    String[] addresses = target.getPath().substring(1).split(",");
    List<EquivalentAddressGroup> replicas = Arrays.stream(addresses)
        .map(address -> URI.create("tcp://" + address))
        .map(address -> new EquivalentAddressGroup(new InetSocketAddress(address.getHost(), address.getPort())))
        .toList();
    String authority = addresses[0];
    return new NameResolver() {
      /** The name in the certificates: replicas share it. */
      @Override
      public String getServiceAuthority() {
        return authority;
      }

      @Override
      public void start(Listener2 listener) {
        listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(replicas)).build());
      }

      @Override
      public void shutdown() {}
    };
  }

  @Override
  public String getDefaultScheme() {
    return SCHEME;
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  /** A lower priority than DNS, so that other targets keep their meaning. */
  @Override
  protected int priority() {
    return 1;
  }

  @Override
  public Collection<Class<? extends SocketAddress>> getProducedSocketAddressTypes() {
    return List.of(InetSocketAddress.class);
  }
}
