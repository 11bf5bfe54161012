package example;

import com.angarium.user.v1.AuthenticateRequest;
import com.angarium.user.v1.AuthenticateResponse;
import com.angarium.user.v1.RefreshTokenRequest;
import com.angarium.user.v1.RevokeTokenRequest;
import com.angarium.user.v1.Tokens;
import com.angarium.user.v1.User;
import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.Executor;
import java.util.function.Supplier;

/** A logged-in user: tokens for calls, and their refresh. */
public final class Session extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Connection connection;
  private final User user;
  private volatile Tokens tokens;

  private Session(Connection connection, User user, Tokens tokens) {
    this.connection = connection;
    this.user = user;
    this.tokens = tokens;
  }

  /** Starts a session. Use it for calls with {@code stub.withCallCredentials(session)}. */
  public static Session logIn(Connection connection, String email, String password) {
    AuthenticateRequest request = AuthenticateRequest.newBuilder().setEmail(email).setPassword(password).build();
    AuthenticateResponse answer = connection.users().authenticate(request);
    return new Session(connection, answer.getUser(), answer.getTokens());
  }

  public User user() {
    return user;
  }

  /** Makes a call, and repeats it with a new token if the old one has expired (after 15 minutes). */
  public <T> T call(Supplier<T> call) {
    try {
      return call.get();
    } catch (StatusRuntimeException error) {
      if (!Refusal.of(error).reason().equals("TOKEN_EXPIRED")) {
        throw error;
      }
    }
    refresh();
    return call.get();
  }

  /** Exchanges the refresh token. It works once, so threads that share a session take turns here. */
  public synchronized void refresh() {
    RefreshTokenRequest request =
        RefreshTokenRequest.newBuilder().setRefreshToken(tokens.getRefreshToken()).build();
    tokens = connection.users().refreshToken(request).getTokens();
  }

  /** Ends the session. */
  public void logOut() {
    RevokeTokenRequest request =
        RevokeTokenRequest.newBuilder().setRefreshToken(tokens.getRefreshToken()).build();
    connection.users().revokeToken(request);
  }

  @Override
  public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + tokens.getAccessToken());
    applier.apply(headers);
  }
}
