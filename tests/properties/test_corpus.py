"""Odd inputs that were thought of or met once (`tests/corpus/`), replayed against every decoder.

An input found by chance goes there under the decoder that met it: a block of `# what`, `# result` (the reason of the
refusal, or "accepted") and its bytes in hex.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kadnet import config
from kadnet.errors import InputError, Malformed
from kadnet.identity import address, nodeid
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.wire import keys, messages, packets
from kadnet.wire.kinds import BLOB, OWNED
from kadnet.wire.packets import Channel
from kadnet.wire.records import Record, parse
from tests import vectorfile

FOLDER = Path(__file__).parent.parent / "corpus"
ALICE, BOB = Identity.from_seed(b"a" * 32), Identity.from_seed(b"b" * 32)


def datagram(data: bytes) -> None:
    kind = packets.kind_of(data)
    if kind == packets.SEALED:
        Channel(BOB, ALICE.public).open(data)
    elif kind == packets.PROBE:
        packets.open_probe(data)
    else:
        packets.open_probe_reply(data)


def text(decoder: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: decoder(data.decode("utf-8", "surrogateescape"))


DECODERS: dict[str, Callable[[bytes], object]] = {
    "datagrams": datagram,
    "messages": messages.decode,
    "entries": lambda data: parse(Record(OWNED, data, bytes(64))),
    "contacts": Contact.from_packed,
    "endpoints": address.unpack,
    "nodeids": text(nodeid.decode),
    "addresses": text(address.parse_address),
    "names": text(lambda typed: keys.parse_key(typed, ALICE.public, {})),
    "settings": text(config.parse),
}
_OTHERS: dict[str, Callable[[bytes], object]] = {
    "probe": packets.open_probe,
    "reply": packets.open_probe_reply,
    "box": Channel(BOB, ALICE.public).open,
    "blob": lambda data: parse(Record(BLOB, data, b"")),
    "listen": text(address.parse_listen),
}
CORPUS = [(file.stem, vector) for file in sorted(FOLDER.glob("*.txt")) for vector in vectorfile.load(file.stem, FOLDER)]


def result(decoder: Callable[[bytes], object], data: bytes) -> str:
    try:
        decoder(data)
    except Malformed as error:
        return error.reason
    except InputError:
        return "input"
    return "accepted"


@pytest.mark.parametrize(("decoder", "vector"), CORPUS, ids=[f"{name}: {vector['what']}" for name, vector in CORPUS])
def test_an_odd_input_has_the_result_it_had(decoder: str, vector: dict[str, str]) -> None:
    assert result(DECODERS[decoder], bytes.fromhex(vector["hex"])) == vector["result"]


def test_no_decoder_stumbles_over_what_is_odd_for_another() -> None:
    assert len(CORPUS) > 60
    for _, vector in CORPUS:
        for decoder in (*DECODERS.values(), *_OTHERS.values()):
            result(decoder, bytes.fromhex(vector["hex"]))


def test_every_decoder_has_its_odd_inputs() -> None:
    assert {name for name, _ in CORPUS} == set(DECODERS)
