"""Errors that any call can have: lists, masks, sizes, bytes, deadlines and rates."""

import time
from datetime import timedelta

import grpc
import pytest

from conftest import PASSWORD, Person, System, refused, refused_or_none
from courier.connection import DEADLINE
from courier.patience import PATIENCE, when_told

from angarium.notification.v1.notification_service_pb2 import UpdatePreferencesRequest
from angarium.notification.v1.preferences_pb2 import Preferences
from angarium.order.v1.order_pb2 import OrderLine, OrderState
from angarium.order.v1.order_service_pb2 import ListOrdersRequest, PlaceOrderRequest
from angarium.user.v1.user_pb2 import User
from angarium.user.v1.user_service_pb2 import AuthenticateRequest, GetUserRequest, UpdateUserRequest
from google.protobuf.field_mask_pb2 import FieldMask


def test_pages_that_cannot_be_turned_to(system: System, ada: Person) -> None:
    for _ in range(2):
        system.order(ada)

    def listed(request: ListOrdersRequest) -> str:
        return system.connection.orders.ListOrders(
            request, metadata=ada.metadata, timeout=DEADLINE
        ).next_page_token

    of_placed = listed(ListOrdersRequest(page_size=1, state=OrderState.ORDER_STATE_PLACED))
    assert of_placed
    for wrong, fields in (
        (ListOrdersRequest(page_size=-1), {"page_size"}),
        (ListOrdersRequest(page_token="made up"), {"page_token"}),
        # A page token works only for its own list.
        (ListOrdersRequest(page_token=of_placed, page_size=1), {"page_token"}),
        (ListOrdersRequest(page_token="made up", page_size=-1), {"page_token", "page_size"}),
    ):
        refusal = refused(lambda: listed(wrong))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "VALIDATION_FAILED",
        )
        assert set(refusal.fields) == fields


def test_a_mask_that_names_what_cannot_be_changed(system: System, ada: Person) -> None:
    mask = FieldMask(paths=["display_name", "role"])
    user = UpdateUserRequest(
        user=User(user_id=ada.user_id, display_name="Countess"), update_mask=mask
    )
    preferences = UpdatePreferencesRequest(preferences=Preferences(), update_mask=mask)
    for refusal, field in (
        (
            refused(
                lambda: system.connection.users.UpdateUser(
                    user, metadata=ada.metadata, timeout=DEADLINE
                )
            ),
            "email, display_name",
        ),
        (
            refused(
                lambda: system.connection.notifications.UpdatePreferences(
                    preferences, metadata=ada.metadata, timeout=DEADLINE
                )
            ),
            "order_placed_mails",
        ),
    ):
        assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
        # The answer lists the allowed fields.
        assert set(refusal.fields) == {"update_mask"} and field in refusal.fields["update_mask"]


def test_a_message_past_the_limit(system: System, ada: Person) -> None:
    lines = [OrderLine(sku="x" * 20_000, quantity=1)] * 100
    refusal = refused(
        lambda: system.connection.orders.PlaceOrder(
            PlaceOrderRequest(lines=lines), metadata=ada.metadata, timeout=DEADLINE
        )
    )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
    )
    # A retry does not help: the message stays too large.
    assert refusal.retry_after is None and "limit" in refusal.message


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("PlaceOrder", grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED"),
        ("BurnOrder", grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN"),
    ],
)
def test_bytes_that_are_no_message_and_a_method_that_is_none(
    system: System, ada: Person, method: str, code: grpc.StatusCode, reason: str
) -> None:
    channel = list(system.connection.channels.values())[1]
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/angarium.order.v1.OrderService/{method}"
    )
    refusal = refused(lambda: call(b"\xff\xff\xff", metadata=ada.metadata, timeout=DEADLINE))
    assert (refusal.code, refusal.reason, refusal.domain) == (code, reason, "angarium")


def test_a_deadline_that_is_too_short(system: System, ada: Person) -> None:
    # No password is hashed within a millisecond.
    request = AuthenticateRequest(email=ada.email, password=PASSWORD)
    # Wrong passwords of other tests may delay it.
    refusal = refused(
        lambda: when_told(lambda: system.connection.users.Authenticate(request, timeout=0.001))
    )
    assert refusal.code == grpc.StatusCode.DEADLINE_EXCEEDED
    # The server's answer has a reason; if the client's own clock was faster, there is none.
    assert refusal.reason in ("DEADLINE_EXCEEDED", "")


def test_who_calls_too_often_is_told_when_to_go_on(system: System) -> None:
    person = system.person()
    request = GetUserRequest(user_id=person.user_id)

    refusal = None
    begun = time.monotonic()
    while refusal is None and time.monotonic() - begun < PATIENCE:
        refusal = refused_or_none(
            lambda: system.connection.users.GetUser(
                request, metadata=person.metadata, timeout=DEADLINE
            )
        )
    assert refusal is not None, "no call was refused"
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    assert refusal.quotas == [f"user:{person.user_id}"]
    assert refusal.retry_after and timedelta(0) < refusal.retry_after <= timedelta(seconds=1)
