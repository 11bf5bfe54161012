// A logged-in user: tokens for calls, and their refresh.

import type { Tokens } from "../gen/angarium/user/v1/user_service_pb.js";
import type { User } from "../gen/angarium/user/v1/user_pb.js";
import type { Connection } from "./connection.js";
import { refusalOf } from "./refusal.js";

export interface CallOptions {
  headers: { authorization: string };
}

export class Session {
  private constructor(
    private readonly connection: Connection,
    readonly user: User,
    private tokens: Tokens,
  ) {}

  static async logIn(connection: Connection, email: string, password: string): Promise<Session> {
    const { user, tokens } = await connection.users.authenticate({ email, password });
    if (!user || !tokens) {
      throw new Error("the answer to a login has no user or no tokens");
    }
    return new Session(connection, user, tokens);
  }

  // For one call: `orders.getOrder(request, session.options)`.
  get options(): CallOptions {
    return { headers: { authorization: `Bearer ${this.tokens.accessToken}` } };
  }

  // Makes a call, and repeats it with a new token if the old one has expired (after 15 minutes).
  async call<T>(make: (options: CallOptions) => Promise<T>): Promise<T> {
    try {
      return await make(this.options);
    } catch (error) {
      if (refusalOf(error).reason !== "TOKEN_EXPIRED") {
        throw error;
      }
    }
    await this.refresh();
    return await make(this.options);
  }

  // A refresh token works once, so callers that share a session take turns here.
  async refresh(): Promise<void> {
    const { refreshToken } = this.tokens;
    const { tokens } = await this.connection.users.refreshToken({ refreshToken });
    if (!tokens) {
      throw new Error("the answer to a refresh has no tokens");
    }
    this.tokens = tokens;
  }

  async logOut(): Promise<void> {
    await this.connection.users.revokeToken({ refreshToken: this.tokens.refreshToken });
  }
}
