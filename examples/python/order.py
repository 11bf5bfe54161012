"""Registers, logs in, places an order, and watches it until its final state.

    python order.py

It cancels the order after the first state, so that there is an end to watch.
"""

import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import grpc

from courier.connection import DEADLINE, Addresses, Connection
from courier.patience import once_known
from courier.refusal import Refusal
from courier.session import Session

from angarium.order.v1.order_pb2 import Order, OrderLine, OrderState
from angarium.order.v1.order_service_pb2 import (
    CancelOrderRequest,
    GetOrderRequest,
    PlaceOrderRequest,
    WatchOrderRequest,
)
from angarium.user.v1.user_service_pb2 import CreateUserRequest
from google.type.money_pb2 import Money

PASSWORD = "correct horse battery staple"
# The length of one stream before the next one; an order may take days.
WATCH = 30 * 60.0
FINAL = (OrderState.ORDER_STATE_SHIPPED, OrderState.ORDER_STATE_CANCELLED)
GOES_ON = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def main() -> int:
    try:
        with Connection(Addresses.from_environment()) as connection:
            run(connection)
    except grpc.RpcError as error:
        refusal = Refusal.of(error)
        print(f"{refusal.code.name} {refusal.reason}: {refusal.message}", file=sys.stderr)
        return 1
    return 0


def run(connection: Connection) -> None:
    email = f"ada.{uuid4().hex}@example.com"
    connection.users.CreateUser(
        CreateUserRequest(
            email=email,
            password=PASSWORD,
            display_name="Ada",
            # A retry with the same id registers no second user.
            request_id=str(uuid4()),
        ),
        timeout=DEADLINE,
    )
    session = Session(connection, email, PASSWORD)
    print(f"registered {session.user.user_id}")

    placed = once_known(lambda: place(connection, session))
    print(f"ordered {placed.order_id} for {amount(placed.total_price)}")

    for order in watch(connection, session, placed.order_id):
        print(f"state {OrderState.Name(order.state)}", flush=True)
        if order.state == OrderState.ORDER_STATE_PLACED:
            cancel(connection, session, order)
    session.log_out()


def place(connection: Connection, session: Session) -> Order:
    lines = [
        OrderLine(
            sku="TEA-EARL-GREY",
            quantity=2,
            unit_price=Money(currency_code="EUR", units=4, nanos=500_000_000),
        ),
        OrderLine(
            sku="CUP-BLUE",
            quantity=1,
            unit_price=Money(currency_code="EUR", units=12),
        ),
    ]
    request = PlaceOrderRequest(lines=lines, request_id=str(uuid4()))
    return session.call(
        lambda metadata: connection.orders.PlaceOrder(request, metadata=metadata, timeout=DEADLINE)
    ).order


def watch(connection: Connection, session: Session, order_id: str) -> Iterator[Order]:
    """Each state of the order once. The stream ends with the order; a stream that ends earlier is restarted."""
    seen = ""
    while True:
        try:
            stream = connection.orders.WatchOrder(
                WatchOrderRequest(order_id=order_id), metadata=session.metadata, timeout=WATCH
            )
            for answer in stream:
                if answer.order.etag != seen:
                    seen = answer.order.etag
                    yield answer.order
            return
        except grpc.RpcError as error:
            refusal = Refusal.of(error)
            if refusal.reason == "TOKEN_EXPIRED":
                session.refresh()
            elif refusal.reason == "EMAIL_NOT_VERIFIED":
                # Only users with a verified address may watch. Others poll.
                order = get(connection, session, order_id)
                if order.etag != seen:
                    seen = order.etag
                    yield order
                if order.state in FINAL:
                    return
            elif refusal.code not in GOES_ON:
                raise
            # A server that shuts down gives a retry delay; the network gives none.
            time.sleep(refusal.retry_after.total_seconds() if refusal.retry_after else 1)


def get(connection: Connection, session: Session, order_id: str) -> Order:
    request = GetOrderRequest(order_id=order_id)
    return session.call(
        lambda metadata: connection.orders.GetOrder(request, metadata=metadata, timeout=DEADLINE)
    ).order


def cancel(connection: Connection, session: Session, order: Order) -> None:
    request = CancelOrderRequest(
        order_id=order.order_id,
        reason="the cup was the wrong blue",
        request_id=str(uuid4()),
        # Only the version that was seen: not one that was confirmed meanwhile.
        etag=order.etag,
    )
    session.call(
        lambda metadata: connection.orders.CancelOrder(request, metadata=metadata, timeout=DEADLINE)
    )


def amount(money: Money) -> str:
    return f"{money.units}.{money.nanos // 10_000_000:02} {money.currency_code}"


if __name__ == "__main__":
    sys.exit(main())
