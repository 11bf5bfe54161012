package example;

import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.Set;
import java.util.function.Supplier;

/** Waits for an event of one service to reach another one. */
public final class Patience {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final Duration LOOK = Duration.ofMillis(50);
  private static final Set<String> TOO_EARLY = Set.of("USER_UNKNOWN", "KEY_UNKNOWN");

  private Patience() {}

  /**
   * Retries a call right after a registration. The other services learn of a user, and of the key of the first token, from
   * events, a moment later: until then they answer USER_UNKNOWN and KEY_UNKNOWN.
   */
  public static <T> T onceKnown(Supplier<T> call) throws InterruptedException {
    Instant end = Instant.now().plus(PATIENCE);
    while (true) {
      try {
        return call.get();
      } catch (StatusRuntimeException error) {
        Refusal refusal = Refusal.of(error);
        if (!TOO_EARLY.contains(refusal.reason()) || Instant.now().isAfter(end)) {
          throw error;
        }
        await(refusal, LOOK);
      }
    }
  }

  /** Waits for the answer's retry delay, or for a default. */
  public static void await(Refusal refusal, Duration otherwise) throws InterruptedException {
    Thread.sleep(refusal.retryAfter().orElse(otherwise).toMillis());
  }
}
