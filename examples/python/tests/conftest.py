"""Fixtures: a running system, a mailbox with codes, and users with different rights."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from courier.connection import DEADLINE, Addresses, Connection
from courier.patience import once_known, when_told
from courier.refusal import Refusal
from courier.session import Metadata, Session

from angarium.order.v1.order_pb2 import Order, OrderLine
from angarium.order.v1.order_service_pb2 import (
    GetUserViewRequest,
    ListOrdersRequest,
    PlaceOrderRequest,
)
from angarium.notification.v1.notification_service_pb2 import GetPreferencesRequest
from angarium.user.v1.user_service_pb2 import CreateUserRequest, VerifyEmailRequest
from google.type.money_pb2 import Money

from mailbox_folder import CONFIRM_ADDRESS, MailboxFolder

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    email: str
    user_id: str
    session: Session

    @property
    def metadata(self) -> Metadata:
        return self.session.metadata


@dataclass(frozen=True)
class System:
    connection: Connection
    mailbox: MailboxFolder

    def register(self, email: str) -> str:
        request = CreateUserRequest(email=email, password=PASSWORD, display_name="Ada")
        return self.connection.users.CreateUser(request, timeout=DEADLINE).user.user_id

    def person(self, email: str | None = None) -> Person:
        """A registered, logged-in user that every service knows."""
        email = email or f"{uuid4().hex}@example.com"
        user_id = self.register(email)
        person = Person(email, user_id, self.log_in(email))
        self.is_known(person)
        return person

    def log_in(self, email: str, password: str = PASSWORD) -> Session:
        """If there were too many attempts from here, repeats after the answer's retry delay."""
        return when_told(lambda: Session(self.connection, email, password))

    def is_known(self, person: Person) -> None:
        preferences = GetPreferencesRequest()
        once_known(
            lambda: self.connection.notifications.GetPreferences(
                preferences, metadata=person.metadata, timeout=DEADLINE
            )
        )
        once_known(
            lambda: self.connection.orders.ListOrders(
                ListOrdersRequest(), metadata=person.metadata, timeout=DEADLINE
            )
        )

    def order(self, person: Person, *lines: OrderLine) -> Order:
        request = PlaceOrderRequest(lines=lines or [line()])
        return once_known(
            lambda: self.connection.orders.PlaceOrder(
                request, metadata=person.metadata, timeout=DEADLINE
            )
        ).order


def line(currency: str = "EUR", units: int = 4, quantity: int = 1) -> OrderLine:
    return OrderLine(
        sku="TEA-EARL-GREY",
        quantity=quantity,
        unit_price=Money(currency_code=currency, units=units),
    )


def refused(call: Callable[[], object]) -> Refusal:
    """The details of a call that must fail. Each of our answers has a domain and a message."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    refusal = Refusal.of(raised.value)
    assert refusal.message
    return refusal


def refused_or_none(call: Callable[[], object]) -> Refusal | None:
    try:
        call()
    except grpc.RpcError as error:
        return Refusal.of(error)
    return None


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    mails = os.environ.get("ANGARIUM_MAILS", "../../angarium-data/mails")
    with Connection(Addresses.from_environment()) as connection:
        yield System(connection, MailboxFolder(Path(mails)))


@pytest.fixture(scope="session")
def ada(system: System) -> Person:
    return system.person()


@pytest.fixture(scope="session")
def mallory(system: System) -> Person:
    return system.person()


@pytest.fixture(scope="session")
def admin(system: System) -> Person:
    """The user in ADMIN_EMAILS, who is an admin after the address is verified."""
    email = os.environ.get("ANGARIUM_ADMIN", "admin@example.com")
    try:
        system.register(email)
    except grpc.RpcError as error:
        if Refusal.of(error).reason != "EMAIL_TAKEN":
            raise
    session = system.log_in(email)
    if not session.user.email_verified:
        code = system.mailbox.code(email, CONFIRM_ADDRESS)
        request = VerifyEmailRequest(code=code)
        system.connection.users.VerifyEmail(request, timeout=DEADLINE)
        # The token has the user's role.
        session = system.log_in(email)
    person = Person(email, session.user.user_id, session)
    view = GetUserViewRequest(user_id=person.user_id)
    once_known(
        lambda: system.connection.orders.GetUserView(
            view, metadata=person.metadata, timeout=DEADLINE
        )
    )
    return person
