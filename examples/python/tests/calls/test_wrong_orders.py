"""Errors with orders: the answer, and what it says to do."""

from collections.abc import Callable
from uuid import uuid4

import grpc
import pytest

from conftest import PASSWORD, Person, System, line, refused, refused_or_none
from courier.connection import DEADLINE
from courier.patience import eventually
from courier.refusal import Refusal

from angarium.order.v1.order_pb2 import OrderLine
from angarium.order.v1.order_service_pb2 import (
    CancelOrderRequest,
    ConfirmOrderRequest,
    GetOrderRequest,
    PlaceOrderRequest,
    ShipOrderRequest,
)
from angarium.user.v1.user_service_pb2 import DeleteUserRequest


def test_an_order_that_is_not_there(system: System, admin: Person) -> None:
    order_id = str(uuid4())
    refusal = refused(
        lambda: system.connection.orders.GetOrder(
            GetOrderRequest(order_id=order_id), metadata=admin.metadata, timeout=DEADLINE
        )
    )
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    assert refusal.resource == ("angarium.order.v1.Order", order_id)


def test_an_id_that_is_none(system: System, ada: Person) -> None:
    refusal = refused(
        lambda: system.connection.orders.GetOrder(
            GetOrderRequest(order_id="42"), metadata=ada.metadata, timeout=DEADLINE
        )
    )
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert set(refusal.fields) == {"order_id"} and "UUID" in refusal.fields["order_id"]


def test_steps_that_the_state_of_an_order_forbids(
    system: System, ada: Person, admin: Person
) -> None:
    orders, order = system.connection.orders, system.order(ada)

    def step(reason: str, call: Callable[[], object]) -> None:
        refusal = refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert refusal.preconditions == [("ORDER_STATE", order.order_id)]

    def confirm() -> object:
        request = ConfirmOrderRequest(order_id=order.order_id)
        return orders.ConfirmOrder(request, metadata=admin.metadata, timeout=DEADLINE)

    def ship() -> object:
        request = ShipOrderRequest(
            order_id=order.order_id, carrier="Courier", tracking_number="A-1"
        )
        return orders.ShipOrder(request, metadata=admin.metadata, timeout=DEADLINE)

    def cancel() -> object:
        request = CancelOrderRequest(order_id=order.order_id)
        return orders.CancelOrder(request, metadata=ada.metadata, timeout=DEADLINE)

    step("ORDER_NOT_CONFIRMED", ship)
    confirm()
    step("ORDER_ALREADY_CONFIRMED", confirm)
    ship()
    step("ORDER_ALREADY_SHIPPED", cancel)


def test_an_etag_of_before_a_change(system: System, ada: Person, admin: Person) -> None:
    order = system.order(ada)
    system.connection.orders.ConfirmOrder(
        ConfirmOrderRequest(order_id=order.order_id), metadata=admin.metadata, timeout=DEADLINE
    )
    stale = CancelOrderRequest(order_id=order.order_id, etag=order.etag)
    refusal = refused(
        lambda: system.connection.orders.CancelOrder(stale, metadata=ada.metadata, timeout=DEADLINE)
    )
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert "read it again" in refusal.message


def test_a_request_id_that_was_used_for_another_order(system: System, ada: Person) -> None:
    request_id = str(uuid4())

    def place(units: int) -> str:
        request = PlaceOrderRequest(lines=[line(units=units)], request_id=request_id)
        return system.connection.orders.PlaceOrder(
            request, metadata=ada.metadata, timeout=DEADLINE
        ).order.order_id

    # A repetition is no error: it has the same answer.
    assert place(4) == place(4)
    refusal = refused(lambda: place(5))
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
    )
    assert set(refusal.fields) == {"request_id"}


LINES: dict[str, tuple[list[OrderLine], str]] = {
    "none": ([], "lines"),
    "too many": ([line()] * 101, "lines"),
    "two currencies": ([line("EUR"), line("USD")], "lines"),
    "a currency that is none": ([line("euro")], "lines[0].unit_price"),
    "no pieces": ([line(), line(quantity=0)], "lines[1].quantity"),
    "a total past all money": ([line(units=2**62, quantity=10)], "lines"),
    "no price": ([OrderLine(sku="TEA", quantity=1)], "lines[0].unit_price"),
}


@pytest.mark.parametrize("wrong", LINES)
def test_lines_that_make_no_order(system: System, ada: Person, wrong: str) -> None:
    lines, field = LINES[wrong]
    request = PlaceOrderRequest(lines=lines)
    refusal = refused(
        lambda: system.connection.orders.PlaceOrder(
            request, metadata=ada.metadata, timeout=DEADLINE
        )
    )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "VALIDATION_FAILED",
    )
    assert set(refusal.fields) == {field}
    assert refusal.fields[field].startswith(("must", "is required"))


def test_an_order_of_somebody_who_has_gone(system: System) -> None:
    person = system.person()
    system.connection.users.DeleteUser(
        DeleteUserRequest(user_id=person.user_id, current_password=PASSWORD),
        metadata=person.metadata,
        timeout=DEADLINE,
    )
    request = PlaceOrderRequest(lines=[line()])

    # The order service learns of it a moment later. The token is valid until it expires.
    def place() -> Refusal | None:
        return refused_or_none(
            lambda: system.connection.orders.PlaceOrder(
                request, metadata=person.metadata, timeout=DEADLINE
            )
        )

    refusal = eventually(place, lambda refusal: refusal is not None)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "USER_DELETED")
    assert refusal.preconditions == [("USER_STATE", person.user_id)]
