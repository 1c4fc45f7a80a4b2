"""Tokens: proof that an asker receives what is sent to the address it claims, without any state here.

A token is a MAC over (asker's ID, its endpoint, the epoch). Epochs last 5 minutes; the current and the previous one are
accepted, so a token serves for 5 to 10 minutes (BEP 5 has the same figures). Pure: the secret and the time come in.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from kadnet.identity.address import Endpoint, pack
from kadnet.wire.messages import TOKEN_SIZE
from kadnet.wire.packets import keyed_hash


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """`epoch`: seconds after which a token of ours begins to age. An asker uses one for as long and no longer."""

    epoch: float = 300.0


class Issued:
    """The tokens of one asker at one endpoint, remembered so that a MAC is made once an epoch, not per packet."""

    __slots__ = ("current", "endpoint", "epoch", "previous")

    def __init__(self, epoch: int, endpoint: Endpoint, current: bytes, previous: bytes) -> None:
        self.epoch = epoch
        self.endpoint = endpoint
        self.current = current
        self.previous = previous


class Tokens:
    """Issues and checks tokens under one secret of 32 bytes, which dies with the process."""

    __slots__ = ("_epoch", "_secret")

    def __init__(self, secret: bytes, settings: TokenSettings) -> None:
        self._secret = secret
        self._epoch = settings.epoch

    def issued(self, remembered: Issued | None, asker: bytes, endpoint: Endpoint, now: float) -> Issued:
        """The tokens that `asker` at `endpoint` has and had: `remembered` itself where it still holds."""
        epoch = int(now // self._epoch)
        if remembered is not None and remembered.epoch == epoch and remembered.endpoint == endpoint:
            return remembered
        return Issued(epoch, endpoint, self._mac(asker, endpoint, epoch), self._mac(asker, endpoint, epoch - 1))

    def _mac(self, asker: bytes, endpoint: Endpoint, epoch: int) -> bytes:
        data = b"kadnet token" + asker + pack(endpoint) + epoch.to_bytes(8, "big", signed=True)
        return keyed_hash(TOKEN_SIZE, self._secret, data)


def is_valid(issued: Issued, token: bytes) -> bool:
    """Whether `token` is the current or the previous one."""
    if token == issued.current:  # our own fresh MAC; a comparison in constant time follows where it differs
        return True
    return hmac.compare_digest(token, issued.current) or hmac.compare_digest(token, issued.previous)
