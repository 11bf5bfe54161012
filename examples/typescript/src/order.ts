// Registers, logs in, places an order, and watches it until its final state. It cancels the order after the first state,
// so that there is an end to watch.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { type Order, OrderState, OrderStateSchema } from "../gen/angarium/order/v1/order_pb.js";
import type { Money } from "../gen/google/type/money_pb.js";
import { type Connection, connect } from "./connection.js";
import { onceKnown } from "./patience.js";
import { refusalOf } from "./refusal.js";
import { Session } from "./session.js";

const PASSWORD = "correct horse battery staple";
// The length of one stream before the next one; an order may take days.
const WATCH_MS = 30 * 60 * 1000;
const FINAL = [OrderState.SHIPPED, OrderState.CANCELLED];

async function main(): Promise<void> {
  const connection = connect(process.env);
  const email = `ada.${randomUUID()}@example.com`;
  await connection.users.createUser({
    email,
    password: PASSWORD,
    displayName: "Ada",
    // A retry with the same id registers no second user.
    requestId: randomUUID(),
  });
  const session = await Session.logIn(connection, email, PASSWORD);
  console.log(`registered ${session.user.userId}`);

  const placed = await onceKnown(() => place(connection, session));
  console.log(`ordered ${placed.orderId} for ${amount(placed.totalPrice)}`);

  for await (const order of watch(connection, session, placed.orderId)) {
    console.log(`state ${OrderStateSchema.value[order.state]?.name}`);
    if (order.state === OrderState.PLACED) {
      await cancel(connection, session, order);
    }
  }
  await session.logOut();
}

async function place(connection: Connection, session: Session): Promise<Order> {
  const request = {
    lines: [
      {
        sku: "TEA-EARL-GREY",
        quantity: 2,
        unitPrice: { currencyCode: "EUR", units: 4n, nanos: 500_000_000 },
      },
      { sku: "CUP-BLUE", quantity: 1, unitPrice: { currencyCode: "EUR", units: 12n } },
    ],
    requestId: randomUUID(),
  };
  const { order } = await session.call((options) => connection.orders.placeOrder(request, options));
  if (!order) {
    throw new Error("the answer holds no order");
  }
  return order;
}

// Each state of the order once. The stream ends with the order; a stream that ends earlier is restarted.
async function* watch(
  connection: Connection,
  session: Session,
  orderId: string,
): AsyncGenerator<Order> {
  let seen = "";
  for (;;) {
    try {
      const options = { ...session.options, timeoutMs: WATCH_MS };
      for await (const { order } of connection.orders.watchOrder({ orderId }, options)) {
        if (order && order.etag !== seen) {
          seen = order.etag;
          yield order;
        }
      }
      return;
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal.reason === "TOKEN_EXPIRED") {
        await session.refresh();
      } else if (refusal.reason === "EMAIL_NOT_VERIFIED") {
        // Only users with a verified address may watch. Others poll.
        const order = await get(connection, session, orderId);
        if (order.etag !== seen) {
          seen = order.etag;
          yield order;
        }
        if (FINAL.includes(order.state)) {
          return;
        }
      } else if (refusal.code !== Code.Unavailable && refusal.code !== Code.DeadlineExceeded) {
        throw error;
      }
      // A server that shuts down gives a retry delay; the network gives none.
      await sleep(refusal.retryAfterMs ?? 1000);
    }
  }
}

async function get(connection: Connection, session: Session, orderId: string): Promise<Order> {
  const { order } = await session.call((options) =>
    connection.orders.getOrder({ orderId }, options),
  );
  if (!order) {
    throw new Error("the answer holds no order");
  }
  return order;
}

async function cancel(connection: Connection, session: Session, order: Order): Promise<void> {
  const request = {
    orderId: order.orderId,
    reason: "the cup was the wrong blue",
    requestId: randomUUID(),
    // Only the version that was seen: not one that was confirmed meanwhile.
    etag: order.etag,
  };
  await session.call((options) => connection.orders.cancelOrder(request, options));
}

function amount(money: Money | undefined): string {
  if (!money) {
    return "nothing";
  }
  const cents = Math.trunc(money.nanos / 10_000_000).toString().padStart(2, "0");
  return `${money.units}.${cents} ${money.currencyCode}`;
}

main().catch((error: unknown) => {
  const refusal = refusalOf(error);
  console.error(`${Code[refusal.code]} ${refusal.reason}: ${refusal.message}`);
  process.exitCode = 1;
});
