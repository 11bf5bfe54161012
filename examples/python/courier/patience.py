"""Waiting for what has happened in one service and has not yet been heard of in another."""

import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from .refusal import Refusal

PATIENCE = 30.0
LOOK = 0.05

Answer = TypeVar("Answer")


def once_known(call: Callable[[], Answer]) -> Answer:
    """Repeats a call right after a registration.

    The other services learn of a user, and of the key of the first token ever, from events, a moment later: until then they
    answer USER_UNKNOWN and KEY_UNKNOWN.
    """
    return _repeat(call, lambda refusal: refusal.reason in ("USER_UNKNOWN", "KEY_UNKNOWN"))


def when_told(call: Callable[[], Answer]) -> Answer:
    """Repeats a call that may be repeated, after as long as the answer says."""
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
    """Looks until it is so, and says what it saw last where it never is."""
    begun = time.monotonic()
    while not until(seen := look()):
        if time.monotonic() - begun > PATIENCE:
            raise TimeoutError(f"it is not so after {PATIENCE} s: {seen}")
        time.sleep(LOOK)
    return seen
