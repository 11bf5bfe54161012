// A few wrong turns, to see that a refusal reads the same in TypeScript: its code, its reason, and what to do.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { Code } from "@connectrpc/connect";
import { connect } from "../src/connection.js";
import { onceKnown } from "../src/patience.js";
import { type Refusal, refusalOf } from "../src/refusal.js";
import { Session } from "../src/session.js";

const PASSWORD = "correct horse battery staple";
const connection = connect(process.env);

async function refused(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const refusal = refusalOf(error);
    assert.equal(refusal.domain, "angarium");
    return refusal;
  }
  return assert.fail("it was not refused");
}

async function somebody(): Promise<Session> {
  const email = `${randomUUID()}@example.com`;
  await connection.users.createUser({ email, password: PASSWORD, displayName: "Ada" });
  return Session.logIn(connection, email, PASSWORD);
}

test("everything that is wrong with a registration is named at once", async () => {
  const refusal = await refused(
    connection.users.createUser({ email: "ada", password: "short", displayName: "" }),
  );
  assert.deepEqual([refusal.code, refusal.reason], [Code.InvalidArgument, "VALIDATION_FAILED"]);
  assert.deepEqual(Object.keys(refusal.fields).sort(), ["display_name", "email", "password"]);
});

test("a call without a token is told what to send", async () => {
  const refusal = await refused(connection.orders.listOrders({}));
  assert.deepEqual([refusal.code, refusal.reason], [Code.Unauthenticated, "UNAUTHENTICATED"]);
  assert.match(refusal.message, /authorization: Bearer/);
});

test("an order that is cancelled twice says what is in the way", async () => {
  const session = await somebody();
  const unitPrice = { currencyCode: "EUR", units: 4n };
  const { order } = await onceKnown(() =>
    connection.orders.placeOrder(
      { lines: [{ sku: "TEA", quantity: 1, unitPrice }] },
      session.options,
    ),
  );
  assert.ok(order);
  const { orderId } = order;
  await connection.orders.cancelOrder({ orderId }, session.options);
  const refusal = await refused(connection.orders.cancelOrder({ orderId }, session.options));
  assert.deepEqual(
    [refusal.code, refusal.reason],
    [Code.FailedPrecondition, "ORDER_ALREADY_CANCELLED"],
  );
  assert.deepEqual(refusal.preconditions, [{ type: "ORDER_STATE", subject: orderId }]);
});
