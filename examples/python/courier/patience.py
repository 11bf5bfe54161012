"""Waits for an event of one service to reach another one."""

import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from .refusal import Refusal

PATIENCE = 30.0
LOOK = 0.05

Answer = TypeVar("Answer")


def once_known(call: Callable[[], Answer]) -> Answer:
    """Retries a call right after a registration.

    The other services learn of a user, and of the key of the first token, from events, a moment later: until then they
    answer USER_UNKNOWN and KEY_UNKNOWN.
    """
    return _repeat(call, lambda refusal: refusal.reason in ("USER_UNKNOWN", "KEY_UNKNOWN"))


def when_told(call: Callable[[], Answer]) -> Answer:
    """Repeats a retryable call after the answer's retry delay."""
    return _repeat(call, lambda refusal: refusal.retry_after is not None)


def _repeat(call: Callable[[], Answer], is_worth_it: Callable[[Refusal], bool]) -> Answer:
    begun = time.monotonic()
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            refusal = Refusal.of(error)
            if not is_worth_it(refusal) or time.monotonic() - begun > PATIENCE:
                raise
            time.sleep(refusal.retry_after.total_seconds() if refusal.retry_after else LOOK)


def eventually(look: Callable[[], Answer], until: Callable[[Answer], bool]) -> Answer:
    """Polls until the condition holds; the error has what was seen last."""
    begun = time.monotonic()
    while not until(seen := look()):
        if time.monotonic() - begun > PATIENCE:
            raise TimeoutError(f"the condition does not hold after {PATIENCE} s: {seen}")
        time.sleep(LOOK)
    return seen
