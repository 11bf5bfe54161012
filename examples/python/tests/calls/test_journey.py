"""The life of an account, from registration to deletion."""

import grpc

from conftest import Person, System, refused
from courier.connection import DEADLINE
from courier.patience import eventually
from mailbox_folder import CONFIRM_ADDRESS, SET_PASSWORD

from angarium.notification.v1.notification_pb2 import NotificationKind, NotificationState
from angarium.notification.v1.notification_service_pb2 import (
    GetPreferencesRequest,
    ListNotificationsRequest,
    UpdatePreferencesRequest,
)
from angarium.notification.v1.preferences_pb2 import Preferences
from angarium.order.v1.order_pb2 import OrderState
from angarium.order.v1.order_service_pb2 import (
    ConfirmOrderRequest,
    GetOrderRequest,
    ShipOrderRequest,
    WatchOrderRequest,
)
from angarium.user.v1.user_service_pb2 import (
    DeleteUserRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
    VerifyEmailRequest,
)
from google.protobuf.field_mask_pb2 import FieldMask

NEXT_PASSWORD = "staple battery horse correct"


def test_from_registering_to_the_end_of_the_account(system: System, admin: Person) -> None:
    users, orders, notifications = (
        system.connection.users,
        system.connection.orders,
        system.connection.notifications,
    )
    grace = system.person()
    assert not grace.session.user.email_verified

    # Verify the address.
    code = system.mailbox.code(grace.email, CONFIRM_ADDRESS)
    verified = users.VerifyEmail(VerifyEmailRequest(code=code), timeout=DEADLINE)
    assert verified.user.email_verified
    # The next token says so.
    grace.session.refresh()

    # Opt out of one kind of mail.
    wanted = notifications.GetPreferences(
        GetPreferencesRequest(), metadata=grace.metadata, timeout=DEADLINE
    ).preferences
    assert wanted.order_confirmed_mails
    changed = notifications.UpdatePreferences(
        UpdatePreferencesRequest(
            preferences=Preferences(order_confirmed_mails=False, etag=wanted.etag),
            update_mask=FieldMask(paths=["order_confirmed_mails"]),
        ),
        metadata=grace.metadata,
        timeout=DEADLINE,
    ).preferences
    assert not changed.order_confirmed_mails and changed.order_shipped_mails

    # Order, and watch the order while the shop confirms and ships.
    order = system.order(grace)
    assert (order.total_price.units, order.total_price.currency_code) == (4, "EUR")
    stream = orders.WatchOrder(
        WatchOrderRequest(order_id=order.order_id), metadata=grace.metadata, timeout=60
    )
    assert next(stream).order.state == OrderState.ORDER_STATE_PLACED
    orders.ConfirmOrder(
        ConfirmOrderRequest(order_id=order.order_id, etag=order.etag),
        metadata=admin.metadata,
        timeout=DEADLINE,
    )
    assert next(stream).order.state == OrderState.ORDER_STATE_CONFIRMED
    orders.ShipOrder(
        ShipOrderRequest(order_id=order.order_id, carrier="Courier", tracking_number="A-1"),
        metadata=admin.metadata,
        timeout=DEADLINE,
    )
    last = [answer.order for answer in stream]
    assert [state.state for state in last] == [OrderState.ORDER_STATE_SHIPPED]
    assert last[0].tracking_number == "A-1"

    # The wanted mails were sent, and the other was not.
    kinds = mails_sent(system, grace, NotificationKind.NOTIFICATION_KIND_ORDER_SHIPPED)
    assert NotificationKind.NOTIFICATION_KIND_ORDER_PLACED in kinds
    assert NotificationKind.NOTIFICATION_KIND_ORDER_CONFIRMED not in kinds

    # Forget the password.
    users.RequestPasswordReset(RequestPasswordResetRequest(email=grace.email), timeout=DEADLINE)
    code = system.mailbox.code(grace.email, SET_PASSWORD)
    users.ResetPassword(
        ResetPasswordRequest(code=code, new_password=NEXT_PASSWORD), timeout=DEADLINE
    )
    old = refused(lambda: system.log_in(grace.email))
    assert (old.code, old.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")
    ended = refused(grace.session.refresh)
    assert ended.reason == "REFRESH_TOKEN_INVALID"
    session = system.log_in(grace.email, NEXT_PASSWORD)

    # Delete the account.
    users.DeleteUser(
        DeleteUserRequest(
            user_id=grace.user_id, etag=session.user.etag, current_password=NEXT_PASSWORD
        ),
        metadata=session.metadata,
        timeout=DEADLINE,
    )
    gone = refused(lambda: system.log_in(grace.email, NEXT_PASSWORD))
    assert gone.reason == "CREDENTIALS_INVALID"
    # A shipped order stays shipped; the shop still sees it.
    kept = orders.GetOrder(
        GetOrderRequest(order_id=order.order_id), metadata=admin.metadata, timeout=DEADLINE
    )
    assert kept.order.state == OrderState.ORDER_STATE_SHIPPED


def test_an_access_token_that_was_exchanged_goes_on_working(system: System) -> None:
    person = system.person()
    before = person.metadata
    person.session.refresh()
    assert person.metadata != before
    for metadata in (before, person.metadata):
        system.connection.notifications.GetPreferences(
            GetPreferencesRequest(), metadata=metadata, timeout=DEADLINE
        )
    person.session.log_out()
    assert refused(person.session.refresh).reason == "REFRESH_TOKEN_INVALID"


def mails_sent(
    system: System, person: Person, last: NotificationKind.ValueType
) -> set[NotificationKind.ValueType]:
    """The kinds of the user's mails, after the last one was sent."""

    def listed() -> set[NotificationKind.ValueType]:
        answer = system.connection.notifications.ListNotifications(
            ListNotificationsRequest(), metadata=person.metadata, timeout=DEADLINE
        )
        return {
            mail.kind
            for mail in answer.notifications
            if mail.state == NotificationState.NOTIFICATION_STATE_SENT
        }

    return eventually(listed, lambda kinds: last in kinds)
