"""A logged-in user: tokens for calls, and their refresh."""

from collections.abc import Callable
from typing import TypeVar

import grpc

from angarium.user.v1.user_pb2 import User
from angarium.user.v1.user_service_pb2 import (
    AuthenticateRequest,
    RefreshTokenRequest,
    RevokeTokenRequest,
    Tokens,
)

from .connection import DEADLINE, Connection
from .refusal import Refusal

Metadata = tuple[tuple[str, str], ...]
Answer = TypeVar("Answer")


class Session:
    def __init__(self, connection: Connection, email: str, password: str) -> None:
        request = AuthenticateRequest(email=email, password=password)
        answer = connection.users.Authenticate(request, timeout=DEADLINE)
        self.user: User = answer.user
        self._connection = connection
        self._tokens: Tokens = answer.tokens

    @property
    def metadata(self) -> Metadata:
        """For one call: `stub.GetOrder(request, metadata=session.metadata, timeout=DEADLINE)`."""
        return (("authorization", f"Bearer {self._tokens.access_token}"),)

    def call(self, make: Callable[[Metadata], Answer]) -> Answer:
        """Makes a call, and repeats it with a new token if the old one has expired (after 15 minutes)."""
        try:
            return make(self.metadata)
        except grpc.RpcError as error:
            if Refusal.of(error).reason != "TOKEN_EXPIRED":
                raise
        self.refresh()
        return make(self.metadata)

    def refresh(self) -> None:
        """Exchanges the refresh token. It works once, so threads that share a session take turns here."""
        request = RefreshTokenRequest(refresh_token=self._tokens.refresh_token)
        self._tokens = self._connection.users.RefreshToken(request, timeout=DEADLINE).tokens

    def log_out(self) -> None:
        request = RevokeTokenRequest(refresh_token=self._tokens.refresh_token)
        self._connection.users.RevokeToken(request, timeout=DEADLINE)
