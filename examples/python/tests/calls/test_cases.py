"""The refusals that the clients of all languages test: examples/cases.json."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass

from conftest import Person, System, line, refused
from courier.connection import DEADLINE
from courier.patience import once_known, when_told

from angarium.order.v1.order_service_pb2 import CancelOrderRequest, PlaceOrderRequest

TABLE = Path(__file__).parents[3] / "cases.json"
CASES: list[dict[str, Any]] = json.loads(TABLE.read_text())["refusals"]


@pytest.fixture(scope="module")
def known(system: System, ada: Person) -> dict[str, str]:
    """The preparation of the table: an order that was placed and cancelled."""
    request_id = str(uuid4())
    request = PlaceOrderRequest(lines=[line(quantity=3)], request_id=request_id)
    order = once_known(
        lambda: system.connection.orders.PlaceOrder(
            request, metadata=ada.metadata, timeout=DEADLINE
        )
    ).order
    system.connection.orders.CancelOrder(
        CancelOrderRequest(order_id=order.order_id), metadata=ada.metadata, timeout=DEADLINE
    )
    return {
        "$ORDER_ID": order.order_id,
        "$REQUEST_ID": request_id,
        "$EMAIL": ada.email,
        "$USER_ID": ada.user_id,
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_refusal_of_the_table(
    case: dict[str, Any], known: dict[str, str], system: System, ada: Person, mallory: Person
) -> None:
    text = json.dumps(case)
    for name, value in known.items():
        text = text.replace(name, value)
    case = json.loads(text)
    people = {"ada": ada.metadata, "mallory": mallory.metadata}
    metadata = people.get(case.get("as", ""), ())

    # A call by name, with the generated types.
    service, method = case["method"].split("/")
    described = descriptor_pool.Default().FindMethodByName(f"{service}.{method}")
    request = json_format.ParseDict(case["request"], GetMessageClass(described.input_type)())
    call: Any = system.connection.channels[service].unary_unary(
        f"/{case['method']}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(described.output_type).FromString,
    )
    # Wrong passwords of other tests may delay it.
    refusal = refused(
        lambda: when_told(lambda: call(request, metadata=metadata, timeout=DEADLINE))
    )

    assert (refusal.code.name, refusal.reason) == (case["code"], case["reason"])
    assert refusal.domain == "angarium"
    if "fields" in case:
        assert refusal.fields == case["fields"]
    if "preconditions" in case:
        expected = [(condition["type"], condition["subject"]) for condition in case["preconditions"]]
        assert refusal.preconditions == expected
    if "resource" in case:
        assert refusal.resource == (case["resource"]["type"], case["resource"]["name"])
