"""Connections to the three services: addresses, deadlines and automatic retries."""

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from angarium.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from angarium.order.v1.order_service_pb2_grpc import OrderServiceStub
from angarium.user.v1.user_service_pb2_grpc import UserServiceStub

USERS = "angarium.user.v1.UserService"
ORDERS = "angarium.order.v1.OrderService"
NOTIFICATIONS = "angarium.notification.v1.NotificationService"

# A call without a deadline may wait forever.
DEADLINE = 10.0

# Calls with automatic retries while the server is unavailable: those that change nothing, or have a request_id.
SERVICE_CONFIG = Path(__file__).parents[3] / "proto/service_config.json"


@dataclass(frozen=True)
class Addresses:
    """The addresses of the services. The defaults are those of `cargo run`."""

    users: str = "127.0.0.1:50051"
    orders: str = "127.0.0.1:50052"
    notifications: str = "127.0.0.1:50053"
    # The trusted authorities, as PEM. None: plaintext, for local use.
    ca_file: Path | None = None

    @classmethod
    def from_environment(cls) -> "Addresses":
        ca_file = os.environ.get("ANGARIUM_CA_FILE")
        return cls(
            users=os.environ.get("ANGARIUM_USERS", cls.users),
            orders=os.environ.get("ANGARIUM_ORDERS", cls.orders),
            notifications=os.environ.get("ANGARIUM_NOTIFICATIONS", cls.notifications),
            ca_file=Path(ca_file) if ca_file else None,
        )


class Connection:
    """A channel to each service. Create it once and share it between threads; channels connect on the first call."""

    def __init__(self, addresses: Addresses) -> None:
        self.channels = {
            service: _channel(address, addresses.ca_file)
            for service, address in (
                (USERS, addresses.users),
                (ORDERS, addresses.orders),
                (NOTIFICATIONS, addresses.notifications),
            )
        }
        self.users = UserServiceStub(self.channels[USERS])
        self.orders = OrderServiceStub(self.channels[ORDERS])
        self.notifications = NotificationServiceStub(self.channels[NOTIFICATIONS])

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self.channels.values():
            channel.close()


def _channel(address: str, ca_file: Path | None) -> grpc.Channel:
    options = [("grpc.service_config", SERVICE_CONFIG.read_text())]
    if ca_file is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(ca_file.read_bytes())
    return grpc.secure_channel(address, credentials, options)
