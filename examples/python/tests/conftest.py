"""A running system to call, a mailbox to read codes from, and people in different positions."""

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
        """Somebody who has registered and logged in, and of whom every service has heard."""
        email = email or f"{uuid4().hex}@example.com"
        user_id = self.register(email)
        person = Person(email, user_id, self.log_in(email))
        self.is_known(person)
        return person

    def log_in(self, email: str, password: str = PASSWORD) -> Session:
        """Where somebody has tried too often from here, after the wait that the answer asks for."""
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
    """What a call is told that has to fail. Every answer of ours names its domain and says something."""
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
    """Whom the services were started with as ADMIN_EMAILS; an admin from the moment that the address is verified."""
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
        # Who somebody is stands in their token.
        session = system.log_in(email)
    person = Person(email, session.user.user_id, session)
    view = GetUserViewRequest(user_id=person.user_id)
    once_known(
        lambda: system.connection.orders.GetUserView(
            view, metadata=person.metadata, timeout=DEADLINE
        )
    )
    return person
