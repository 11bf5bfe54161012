"""The details of an error, for programs.

Branch on `reason`, which never changes; show `message` to people; never parse a message.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status


Detail = TypeVar("Detail", bound=Message)


@dataclass(frozen=True)
class Refusal:
    code: grpc.StatusCode
    message: str
    # "angarium", or empty if the error is not from our server: the network, a proxy, the client's deadline.
    domain: str = ""
    reason: str = ""
    # What to change in the request, by field path.
    fields: dict[str, str] = field(default_factory=dict)
    # (type, subject) of the conditions that must hold first.
    preconditions: list[tuple[str, str]] = field(default_factory=list)
    # (type, name) of the resource that is missing or exists already.
    resource: tuple[str, str] | None = None
    # The subjects of used-up limits.
    quotas: list[str] = field(default_factory=list)
    # When the same call may succeed.
    retry_after: timedelta | None = None

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Refusal":
        # The exception of a stub is also the call.
        assert isinstance(error, grpc.Call)
        status = rpc_status.from_call(error)
        if status is None:
            return cls(error.code(), error.details() or "")
        found = {packed.TypeName(): packed for packed in status.details}

        def unpack(kind: type[Detail]) -> Detail:
            message = kind()
            if packed := found.get(message.DESCRIPTOR.full_name):
                packed.Unpack(message)
            return message

        info = unpack(details.ErrorInfo)
        resource = unpack(details.ResourceInfo)
        retry = unpack(details.RetryInfo)
        return cls(
            code=error.code(),
            message=status.message,
            domain=info.domain,
            reason=info.reason,
            fields={
                violation.field: violation.description
                for violation in unpack(details.BadRequest).field_violations
            },
            preconditions=[
                (violation.type, violation.subject)
                for violation in unpack(details.PreconditionFailure).violations
            ],
            resource=(resource.resource_type, resource.resource_name)
            if resource.resource_type
            else None,
            quotas=[violation.subject for violation in unpack(details.QuotaFailure).violations],
            retry_after=retry.retry_delay.ToTimedelta()
            if details.RetryInfo.DESCRIPTOR.full_name in found
            else None,
        )
