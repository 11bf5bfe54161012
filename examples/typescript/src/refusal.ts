// Why a call was refused, in a form that a program can act on. Branch on `reason`, which never changes; show `message` to a
// person; never take a message apart.

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
  // "angarium", or empty where it was not our server who answered.
  domain: string;
  reason: string;
  // What must be changed in the request, by the path of the field.
  fields: Record<string, string>;
  // What would have to hold first: the kind of condition, and of what.
  preconditions: { type: string; subject: string }[];
  // What is not there, or is there already.
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
