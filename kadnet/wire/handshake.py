"""The handshake of a link: Noise IKpsk1 between two node IDs on one network, in two messages.

    prologue   kadnet/1 ‖ answerer's ID                 psk   the network key
    hello      -> e, es, s, ss, psk    payload  [caller's ID, instance, purpose]
    answer     <- e, ee, se            payload  [instance]

The caller must know the answerer's ID. Who knows not the network key, or calls somebody else, is told from the hello
alone and hears nothing. Noise proves an X25519 key, and two IDs share each (their points differ in sign), so the hello
names the caller's ID and the answerer checks that its X25519 form is the key that was proven.

A recorded hello can be played again, and an answerer cannot tell: it answers, but only who made the hello can read the
answer. So a link counts as pending, and nothing is believed, until the caller's first SEALED frame opens. For the same
reason the hello carries nothing that acts.

Bytes in and out, no I/O: frames are put around the messages by the link. Whether a purpose is one we serve, whether an
ID is one we want, and who may try how often is judged there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.keys import x25519_public
from kadnet.wire.channel import Channel
from kadnet.wire.noise import HandshakeState

if TYPE_CHECKING:
    from kadnet.identity.keys import Identity

PATTERN: Final = "IKpsk1"
INSTANCE_SIZE: Final = 8

PEER: Final = "peer"
"""Purpose: the link of two nodes, one for each pair."""
ERRAND: Final = "errand"
"""Purpose: bulk and large records; may stand beside others and is closed when it rests."""

_PURPOSE: Final = re.compile(r"[a-z0-9-]{1,32}")
_PROLOGUE: Final = b"kadnet/1"
_MAX_FIELDS: Final = 16  # room for what later versions add

_pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True).pack


class Hello(NamedTuple):
    """Who calls. `id` has proved nothing yet but that it once made this hello for us, on our network."""

    id: bytes
    instance: bytes
    purpose: str


class Caller:
    """The side that dials. First `hello`, then `read`, each once."""

    __slots__ = ("_noise", "_payload")

    def __init__(
        self,
        identity: Identity,
        peer: bytes,
        network: bytes,
        *,
        instance: bytes,
        purpose: str = PEER,
        ephemeral: bytes,
    ) -> None:
        """`peer` is the ID to reach, `network` the 32-byte network key, `ephemeral` 32 fresh secret random bytes.

        `instance` (8 bytes) names this run of our node. ProtocolError("bad-key") when no node can have the ID `peer`.
        """
        if len(instance) != INSTANCE_SIZE or not _PURPOSE.fullmatch(purpose):
            raise ValueError(f"an instance has {INSTANCE_SIZE} bytes, a purpose 1 to 32 of a-z 0-9 -")
        self._payload = _pack((identity.public, instance, purpose))
        self._noise = HandshakeState(
            PATTERN,
            initiator=True,
            prologue=_PROLOGUE + peer,
            s=identity.x25519_secret,
            rs=x25519_public(peer),
            e=ephemeral,
            psks=(network,),
        )

    def hello(self) -> bytes:
        """The first message. About 130 µs."""
        return self._noise.write_message(self._payload)

    def read(self, answer: bytes) -> tuple[bytes, Channel]:
        """(the peer's instance, the channel) from the answer, which proves that it is the peer, now.

        Malformed: "noise-length", "noise-key", "noise-box", "answer-shape" or "answer-instance".
        """
        fields = _fields(self._noise.read_message(answer), 1, "answer-shape")
        return _instance(fields[0], "answer-instance"), Channel(*self._noise.split())


class Answerer:
    """The side that was dialed. First `read`, then `reply`, each once."""

    __slots__ = ("_instance", "_noise")

    def __init__(self, identity: Identity, network: bytes, *, instance: bytes, ephemeral: bytes) -> None:
        """As for `Caller`."""
        if len(instance) != INSTANCE_SIZE:
            raise ValueError(f"an instance has {INSTANCE_SIZE} bytes")
        self._instance = instance
        self._noise = HandshakeState(
            PATTERN,
            initiator=False,
            prologue=_PROLOGUE + identity.public,
            s=identity.x25519_secret,
            e=ephemeral,
            psks=(network,),
        )

    def read(self, hello: bytes) -> Hello:
        """Who calls. About 140 µs, half of it for a stranger's noise; nothing may be answered when it raises.

        Malformed: "noise-length"; "noise-key"; "noise-box" when it was meant for another node or network, or changed
        on the way; "hello-shape"; "hello-id" when the ID is not that of the key that was proven; "hello-instance";
        "hello-purpose" when that is no word. Whether the purpose is a known one is not asked.
        """
        id_, instance, purpose = _fields(self._noise.read_message(hello), 3, "hello-shape")
        if type(id_) is not bytes or not self._is_proven(id_):
            raise Malformed("hello-id")
        if type(purpose) is not str or not _PURPOSE.fullmatch(purpose):
            raise Malformed("hello-purpose")
        return Hello(id_, _instance(instance, "hello-instance"), purpose)

    def reply(self) -> tuple[bytes, Channel]:
        """(the answer, the channel). About 110 µs."""
        answer = self._noise.write_message(_pack((self._instance,)))
        return answer, Channel(*self._noise.split())

    def _is_proven(self, id_: bytes) -> bool:
        try:
            return x25519_public(id_) == self._noise.remote_static
        except ProtocolError:
            return False


def _fields(payload: bytes, count: int, reason: str) -> tuple[Any, ...]:
    """The first `count` fields of a payload; what a later version added after them is ignored."""
    try:
        fields = msgpack.unpackb(payload, use_list=False, max_array_len=_MAX_FIELDS, max_map_len=0, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError):
        raise Malformed(reason) from None
    if type(fields) is not tuple or len(fields) < count:
        raise Malformed(reason)
    return fields[:count]


def _instance(value: Any, reason: str) -> bytes:
    if type(value) is not bytes or len(value) != INSTANCE_SIZE:
        raise Malformed(reason)
    return value
