// The details of an error, for programs. Branch on `reason`, which never changes; show `message` to people;
// never parse a message.

import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.js";

export interface Refusal {
  code: Code;
  message: string;
  // "angarium", or empty if the error is not from our server.
  domain: string;
  reason: string;
  // What to change in the request, by field path.
  fields: Record<string, string>;
  // The conditions that must hold first: kind and subject.
  preconditions: { type: string; subject: string }[];
  // The resource that is missing or exists already.
  resource: { type: string; name: string } | undefined;
  // When the same call may succeed.
  retryAfterMs: number | undefined;
}

export function refusalOf(error: unknown): Refusal {
  const failed = ConnectError.from(error);
  const info = failed.findDetails(ErrorInfoSchema)[0];
  const fields = failed
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations)
    .map((violation) => [violation.field, violation.description] as const);
  const resource = failed.findDetails(ResourceInfoSchema)[0];
  const delay = failed.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: failed.code,
    message: failed.rawMessage,
    domain: info?.domain ?? "",
    reason: info?.reason ?? "",
    fields: Object.fromEntries(fields),
    preconditions: failed
      .findDetails(PreconditionFailureSchema)
      .flatMap((detail) => detail.violations)
      .map(({ type, subject }) => ({ type, subject })),
    resource: resource && { type: resource.resourceType, name: resource.resourceName },
    retryAfterMs: delay && Number(delay.seconds) * 1000 + delay.nanos / 1_000_000,
  };
}
