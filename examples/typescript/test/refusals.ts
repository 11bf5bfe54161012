// The refusals that the clients of all languages test: examples/cases.json.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { NotificationService } from "../gen/angarium/notification/v1/notification_service_pb.js";
import { OrderService } from "../gen/angarium/order/v1/order_service_pb.js";
import { UserService } from "../gen/angarium/user/v1/user_service_pb.js";
import { connect } from "../src/connection.js";
import { onceKnown } from "../src/patience.js";
import { type Refusal, refusalOf } from "../src/refusal.js";
import { type CallOptions, Session } from "../src/session.js";

// A call of the table that must fail.
interface WrongTurn {
  name: string;
  method: string;
  as?: string;
  request: JsonValue;
  code: string;
  reason: string;
  fields?: Refusal["fields"];
  preconditions?: Refusal["preconditions"];
  resource?: Refusal["resource"];
}

type AnyClient = Record<string, (request: Message, options?: CallOptions) => Promise<unknown>>;

const PASSWORD = "correct horse battery staple";
const connection = connect(process.env);
const services = [
  { service: UserService, client: connection.users },
  { service: OrderService, client: connection.orders },
  { service: NotificationService, client: connection.notifications },
];

async function newSession(): Promise<Session> {
  const email = `${randomUUID()}@example.com`;
  await connection.users.createUser({ email, password: PASSWORD, displayName: "Ada" });
  const session = await Session.logIn(connection, email, PASSWORD);
  await onceKnown(() => connection.notifications.getPreferences({}, session.options));
  return session;
}

async function cancelledOrder(ada: Session, requestId: string): Promise<string> {
  const unitPrice = { currencyCode: "EUR", units: 4n };
  const lines = [{ sku: "TEA", quantity: 3, unitPrice }];
  const placed = await onceKnown(() =>
    connection.orders.placeOrder({ lines, requestId }, ada.options),
  );
  const orderId = placed.order?.orderId ?? assert.fail("the answer holds no order");
  await connection.orders.cancelOrder({ orderId }, ada.options);
  return orderId;
}

// Calls a method by name, with the generated types.
async function refused(turn: WrongTurn, caller: Session | undefined): Promise<Refusal> {
  const [name, methodName] = turn.method.split("/");
  const { service, client } =
    services.find(({ service }) => service.typeName === name) ?? assert.fail(turn.method);
  const method =
    service.methods.find((method) => method.name === methodName) ?? assert.fail(turn.method);
  const call = (client as unknown as AnyClient)[method.localName] ?? assert.fail(turn.method);
  try {
    await call(fromJson(method.input, turn.request), caller?.options);
  } catch (error) {
    return refusalOf(error);
  }
  return assert.fail("it was not refused");
}

const people: Record<string, Session> = { ada: await newSession(), mallory: await newSession() };
const ada = people.ada ?? assert.fail();
const requestId = randomUUID();
const known = {
  $ORDER_ID: await cancelledOrder(ada, requestId),
  $REQUEST_ID: requestId,
  $EMAIL: ada.user.email,
  $USER_ID: ada.user.userId,
};
const text = Object.entries(known).reduce(
  (text, [name, value]) => text.replaceAll(name, value),
  readFileSync("../cases.json", "utf8"),
);

for (const turn of (JSON.parse(text) as { refusals: WrongTurn[] }).refusals) {
  test(turn.name, async () => {
    const refusal = await refused(turn, turn.as === undefined ? undefined : people[turn.as]);
    // Connect writes INVALID_ARGUMENT as InvalidArgument.
    const code = Code[refusal.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
    assert.deepEqual([code, refusal.reason], [turn.code, turn.reason]);
    assert.equal(refusal.domain, "angarium");
    assert.deepEqual(refusal.fields, turn.fields ?? refusal.fields);
    assert.deepEqual(refusal.preconditions, turn.preconditions ?? refusal.preconditions);
    assert.deepEqual(refusal.resource, turn.resource ?? refusal.resource);
  });
}
