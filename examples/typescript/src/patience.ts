// Waits for an event of one service to reach another one.

import { setTimeout as sleep } from "node:timers/promises";
import { type Refusal, refusalOf } from "./refusal.js";

const PATIENCE_MS = 30_000;
const LOOK_MS = 50;

// Retries a call right after a registration. The other services learn of a user, and of the key of the first token, from
// events, a moment later: until then they answer USER_UNKNOWN and KEY_UNKNOWN.
export async function onceKnown<T>(call: () => Promise<T>): Promise<T> {
  const begun = Date.now();
  for (;;) {
    let refusal: Refusal;
    try {
      return await call();
    } catch (error) {
      refusal = refusalOf(error);
      const tooEarly = refusal.reason === "USER_UNKNOWN" || refusal.reason === "KEY_UNKNOWN";
      if (!tooEarly || Date.now() - begun > PATIENCE_MS) {
        throw error;
      }
    }
    await sleep(refusal.retryAfterMs ?? LOOK_MS);
  }
}
