"""Errors of registration and login: the answer, and what it says to do."""

from datetime import timedelta
from uuid import uuid4

import grpc

from conftest import PASSWORD, Person, System, refused
from courier.connection import DEADLINE
from courier.patience import eventually
from courier.refusal import Refusal
from courier.session import Metadata, Session
from mailbox_folder import CONFIRM_ADDRESS

from angarium.notification.v1.notification_pb2 import NotificationKind
from angarium.notification.v1.notification_service_pb2 import (
    ListNotificationsRequest,
    ResendNotificationRequest,
)
from angarium.order.v1.order_service_pb2 import (
    ConfirmOrderRequest,
    GetOrderRequest,
    ListOrdersRequest,
)
from angarium.user.v1.user_service_pb2 import (
    ChangePasswordRequest,
    CreateUserRequest,
    ListUsersRequest,
    RequestEmailVerificationRequest,
    ResetPasswordRequest,
    VerifyEmailRequest,
)

NO_CODE = "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA"


def test_everything_that_is_wrong_with_a_registration_is_named_at_once(system: System) -> None:
    request = CreateUserRequest(email="ada", password="short", display_name="")
    refusal = refused(lambda: system.connection.users.CreateUser(request, timeout=DEADLINE))
    assert (refusal.code, refusal.domain) == (grpc.StatusCode.INVALID_ARGUMENT, "angarium")
    assert refusal.reason == "VALIDATION_FAILED"
    assert refusal.fields == {
        "email": "must be an e-mail address such as ada@example.com",
        "password": "must have from 8 to 128 characters",
        "display_name": "is required",
    }


def test_an_address_that_is_taken_in_any_case_of_its_letters(system: System, ada: Person) -> None:
    refusal = refused(lambda: system.register(ada.email.upper()))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "EMAIL_TAKEN")
    assert refusal.resource == ("angarium.user.v1.User", "email")


def test_a_wrong_password_and_an_unknown_address_are_told_the_same(
    system: System, ada: Person
) -> None:
    wrong = refused(lambda: system.log_in(ada.email, "not the password"))
    unknown = refused(lambda: system.log_in("unknown@example.com"))
    assert (wrong.code, wrong.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")
    assert wrong == unknown


def test_who_tries_passwords_has_to_wait_and_is_told_how_long(system: System) -> None:
    email = f"{uuid4().hex}@example.com"
    system.register(email)
    for _ in range(10):
        refusal = refused(lambda: Session(system.connection, email, "a guess"))
        if refusal.reason != "CREDENTIALS_INVALID":
            break
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_ATTEMPTS",
    )
    assert refusal.retry_after and refusal.retry_after > timedelta(0)


def test_a_refresh_token_that_is_used_twice_ends_the_session(system: System) -> None:
    person = system.person()
    thief = Session.__new__(Session)
    thief.__dict__.update(person.session.__dict__)
    person.session.refresh()
    for session in (thief, person.session):
        refusal = refused(session.refresh)
        assert refusal.code == grpc.StatusCode.UNAUTHENTICATED
        assert refusal.reason == "REFRESH_TOKEN_INVALID"


def test_codes_that_do_not_work_or_no_more(system: System) -> None:
    person = system.person()
    code = system.mailbox.code(person.email, CONFIRM_ADDRESS)
    users = system.connection.users
    users.VerifyEmail(VerifyEmailRequest(code=code), timeout=DEADLINE)
    for call in (
        lambda: users.VerifyEmail(VerifyEmailRequest(code=NO_CODE), timeout=DEADLINE),
        lambda: users.VerifyEmail(VerifyEmailRequest(code=code), timeout=DEADLINE),
        lambda: users.ResetPassword(
            ResetPasswordRequest(code=NO_CODE, new_password=PASSWORD), timeout=DEADLINE
        ),
        # A code works only for its purpose.
        lambda: users.ResetPassword(
            ResetPasswordRequest(code=code, new_password=PASSWORD), timeout=DEADLINE
        ),
    ):
        refusal = refused(call)
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "CODE_INVALID",
        )
        assert refusal.preconditions == [("CODE", "code")]

    again = refused(
        lambda: users.RequestEmailVerification(
            RequestEmailVerificationRequest(), metadata=person.metadata, timeout=DEADLINE
        )
    )
    assert (again.code, again.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "EMAIL_VERIFIED")


def test_a_change_of_the_password_without_the_old_one(system: System, ada: Person) -> None:
    request = ChangePasswordRequest(current_password="a guess", new_password=PASSWORD)
    refusal = refused(
        lambda: system.connection.users.ChangePassword(
            request, metadata=ada.metadata, timeout=DEADLINE
        )
    )
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "PASSWORD_WRONG",
    )
    assert refusal.preconditions == [("PASSWORD", "current_password")]


def test_a_mail_with_a_code_is_not_sent_twice(system: System, ada: Person) -> None:
    notifications = system.connection.notifications
    system.mailbox.code(ada.email, CONFIRM_ADDRESS)
    listed = notifications.ListNotifications(
        ListNotificationsRequest(), metadata=ada.metadata, timeout=DEADLINE
    ).notifications
    [with_code] = [
        mail
        for mail in listed
        if mail.kind == NotificationKind.NOTIFICATION_KIND_EMAIL_VERIFICATION
    ]
    request = ResendNotificationRequest(notification_id=with_code.notification_id)

    def resend() -> Refusal:
        return refused(
            lambda: notifications.ResendNotification(
                request, metadata=ada.metadata, timeout=DEADLINE
            )
        )

    refusal = eventually(resend, lambda refusal: refusal.reason != "NOTIFICATION_PENDING")
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "NOTIFICATION_HOLDS_CODE"
    assert refusal.preconditions == [("NOTIFICATION_STATE", with_code.notification_id)]


def test_no_token_and_tokens_that_are_none(system: System, ada: Person) -> None:
    [(name, token)] = ada.metadata
    forged = token[:-3] + ("AAA" if not token.endswith("AAA") else "BBB")
    tried: list[Metadata] = [
        (),
        ((name, "Bearer garbage"),),
        ((name, token.removeprefix("Bearer ")),),
        ((name, forged),),
    ]
    for metadata in tried:
        refusal = refused(
            lambda: system.connection.orders.ListOrders(
                ListOrdersRequest(), metadata=metadata, timeout=DEADLINE
            )
        )
        assert refusal.code == grpc.StatusCode.UNAUTHENTICATED
        assert refusal.reason == "UNAUTHENTICATED"
        # The message says what to send, and where.
        assert "authorization: Bearer" in refusal.message


def test_anothers_order_and_none_at_all_are_told_the_same(
    system: System, ada: Person, mallory: Person
) -> None:
    order = system.order(ada)
    refusals = [
        refused(
            lambda: system.connection.orders.GetOrder(
                GetOrderRequest(order_id=order_id), metadata=mallory.metadata, timeout=DEADLINE
            )
        )
        for order_id in (order.order_id, str(uuid4()))
    ]
    assert refusals[0] == refusals[1]
    assert refusals[0].code == grpc.StatusCode.PERMISSION_DENIED
    assert refusals[0].reason == "PERMISSION_DENIED"


def test_what_is_for_admins(system: System, ada: Person) -> None:
    order = system.order(ada)
    for call in (
        lambda: system.connection.users.ListUsers(
            ListUsersRequest(), metadata=ada.metadata, timeout=DEADLINE
        ),
        lambda: system.connection.orders.ConfirmOrder(
            ConfirmOrderRequest(order_id=order.order_id), metadata=ada.metadata, timeout=DEADLINE
        ),
    ):
        refusal = refused(call)
        assert refusal.code == grpc.StatusCode.PERMISSION_DENIED
        assert refusal.reason == "PERMISSION_DENIED"
