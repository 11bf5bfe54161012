// Clients of the three services, with a deadline on every call.

import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { NotificationService } from "../gen/angarium/notification/v1/notification_service_pb.js";
import { OrderService } from "../gen/angarium/order/v1/order_service_pb.js";
import { UserService } from "../gen/angarium/user/v1/user_service_pb.js";

// A call without a deadline may wait forever.
const DEADLINE_MS = 10_000;

export interface Connection {
  users: Client<typeof UserService>;
  orders: Client<typeof OrderService>;
  notifications: Client<typeof NotificationService>;
}

// Addresses from the environment; the defaults are those of `cargo run`. With https:// the certificate is verified;
// NODE_EXTRA_CA_CERTS adds your own authorities.
export function connect(environment: NodeJS.ProcessEnv): Connection {
  const { ANGARIUM_USERS, ANGARIUM_ORDERS, ANGARIUM_NOTIFICATIONS } = environment;
  return {
    users: createClient(UserService, transport(ANGARIUM_USERS ?? "127.0.0.1:50051")),
    orders: createClient(OrderService, transport(ANGARIUM_ORDERS ?? "127.0.0.1:50052")),
    notifications: createClient(
      NotificationService,
      transport(ANGARIUM_NOTIFICATIONS ?? "127.0.0.1:50053"),
    ),
  };
}

function transport(address: string): Transport {
  const baseUrl = address.includes("://") ? address : `http://${address}`;
  return createGrpcTransport({ baseUrl, defaultTimeoutMs: DEADLINE_MS });
}
