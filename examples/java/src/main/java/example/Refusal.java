package example;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.PreconditionFailure;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The details of an error, for programs. Branch on {@code reason}, which never changes; show {@code message}
 * to people; never parse a message.
 *
 * @param domain "angarium", or empty if the error is not from our server: the network, a proxy, the client's deadline
 * @param fields what to change in the request, by field path
 * @param preconditions the conditions that must hold first
 * @param resource the resource that is missing or exists already
 * @param retryAfter when the same call may succeed
 */
public record Refusal(
    Status.Code code,
    String message,
    String domain,
    String reason,
    Map<String, String> fields,
    List<Precondition> preconditions,
    Optional<Resource> resource,
    Optional<Duration> retryAfter) {

  /** The kind of a condition, and its subject. */
  public record Precondition(String type, String subject) {}

  /** The type and the name of a resource. */
  public record Resource(String type, String name) {}

  /** Reads the details of an error from a call. */
  public static Refusal of(StatusRuntimeException error) {
    List<Any> details = StatusProto.fromThrowable(error).getDetailsList();
    ErrorInfo info = find(details, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    BadRequest request = find(details, BadRequest.class).orElse(BadRequest.getDefaultInstance());
    PreconditionFailure failure =
        find(details, PreconditionFailure.class).orElse(PreconditionFailure.getDefaultInstance());
    return new Refusal(
        error.getStatus().getCode(),
        error.getStatus().getDescription() == null ? "" : error.getStatus().getDescription(),
        info.getDomain(),
        info.getReason(),
        request.getFieldViolationsList().stream()
            .collect(Collectors.toMap(
                BadRequest.FieldViolation::getField, BadRequest.FieldViolation::getDescription, (first, next) -> first)),
        failure.getViolationsList().stream()
            .map(violation -> new Precondition(violation.getType(), violation.getSubject()))
            .toList(),
        find(details, ResourceInfo.class).map(found -> new Resource(found.getResourceType(), found.getResourceName())),
        find(details, RetryInfo.class).map(found -> Duration.ofNanos(Durations.toNanos(found.getRetryDelay()))));
  }

  @Override
  public String toString() {
    return "%s %s: %s".formatted(code, reason, message);
  }

  private static <T extends Message> Optional<T> find(List<Any> details, Class<T> kind) {
    for (Any detail : details) {
      if (detail.is(kind)) {
        try {
          return Optional.of(detail.unpack(kind));
        } catch (InvalidProtocolBufferException unreadable) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
