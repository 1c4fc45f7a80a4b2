import msgpack
import pytest

from kadnet.errors import Malformed
from kadnet.wire import envelopes
from kadnet.wire.channel import MAX_PART
from kadnet.wire.envelopes import (
    ERROR,
    NOTICE,
    REQUEST,
    RESPONSE,
    Close,
    Control,
    Envelope,
    Head,
    Keep,
    Kept,
    Ping,
    Pong,
    decode_control,
    decode_envelope,
    decode_error,
    encode_control,
    encode_envelope,
    encode_error,
    head,
)
from tests.vectors_plugin import CheckVectors

pack = msgpack.packb

ENVELOPES: dict[str, Envelope] = {
    "request": Envelope("chat/1", REQUEST, 7, b"body"),
    "response": Envelope("chat/1", RESPONSE, 7, b""),
    "notice": Envelope("rooms.gossip-2", NOTICE, 0, bytes(300)),
    "error": Envelope("chat/1", ERROR, 7, encode_error("storage-failed", "the disk is full")),
    "shortest": Envelope("a", REQUEST, 0, b""),
    "longest head": Envelope("x" * 32, ERROR, 2**32 - 1, bytes(70_000)),
}
CONTROLS: dict[str, Control] = {
    "ping": Ping(0),
    "ping, most": Ping(2**32 - 1),
    "pong": Pong(77),
    "keep": Keep(),
    "kept": Kept(),
    **{f"close, {reason}": Close(reason) for reason in ("bye", "spare", "old", "idle", "full")},
}


def test_envelopes_are_those_of_the_vector_file(vectors: CheckVectors) -> None:
    made = []
    for what, envelope in ENVELOPES.items():
        if len(envelope.body) < 1000:
            inputs = {"what": what, "protocol": envelope.protocol, "kind": str(envelope.kind), "id": str(envelope.id)}
            made.append({**inputs, "body": envelope.body.hex(), "hex": encode_envelope(*envelope).hex()})
    for what, control in CONTROLS.items():
        values = " ".join(map(str, control))
        made.append({"what": f"control, {what}", "values": values, "hex": encode_control(control).hex()})
    vectors("envelopes", made)


@pytest.mark.parametrize("what", ENVELOPES)
def test_an_envelope_is_what_the_protocol_spells_and_reads_back(what: str) -> None:
    envelope = ENVELOPES[what]
    data = encode_envelope(*envelope)
    assert data == pack([envelope.protocol, envelope.kind, envelope.id, envelope.body])
    assert decode_envelope(data) == envelope
    assert len(data) - len(envelope.body) <= envelopes.OVERHEAD


def test_the_longest_head_is_as_long_as_is_said() -> None:
    envelope = ENVELOPES["longest head"]
    assert len(encode_envelope(*envelope)) - len(envelope.body) == envelopes.OVERHEAD


@pytest.mark.parametrize("trailing", [[None], [1, "later", b"more", [2], 1.5], [0] * 12])
def test_fields_that_a_later_version_adds_are_ignored(trailing: list[object]) -> None:
    assert decode_envelope(pack(["chat/1", REQUEST, 7, b"body", *trailing])) == ENVELOPES["request"]
    assert decode_error(pack(["busy", "", *trailing])) == ("busy", "")
    assert decode_control(pack([1, 5, *trailing])) == Ping(5)


GOOD: list[object] = ["chat/1", REQUEST, 7, b"body"]
BAD_ENVELOPES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "envelope-encoding"),
    "no msgpack": (b"\xc1", "envelope-encoding"),
    "two things": (pack(GOOD) + b"\0", "envelope-encoding"),
    "cut short": (pack(GOOD)[:-1], "envelope-encoding"),
    "too many fields": (pack(GOOD + [0] * 13), "envelope-encoding"),
    "4 GiB of fields": (b"\xdd\xff\xff\xff\xff", "envelope-encoding"),
    "4 GiB of body": (pack(GOOD)[:-6] + b"\xc6\xff\xff\xff\xffbody", "envelope-encoding"),
    "a map after it": (pack([*GOOD, {1: 2}]), "envelope-encoding"),
    "an extension after it": (pack([*GOOD, msgpack.ExtType(1, b"x")]), "envelope-encoding"),
    "nested too deep": (b"\x91" * 5000 + b"\0", "envelope-encoding"),
    "text that is no UTF-8": (b"\x94\xa2\xff\xfe\0\0\xc4\0", "envelope-encoding"),
    "a map": (pack({0: 0, 1: 1, 2: 2, 3: 3}), "envelope-encoding"),
    "a number": (pack(3), "envelope-encoding"),
    "text": (pack("chat/1"), "envelope-encoding"),
    "three fields": (pack(GOOD[:3]), "envelope-shape"),
    "no fields": (pack([]), "envelope-shape"),
    "no protocol": (pack(["", *GOOD[1:]]), "envelope-protocol"),
    "a protocol too long": (pack(["x" * 33, *GOOD[1:]]), "envelope-protocol"),
    "a protocol in capitals": (pack(["Chat", *GOOD[1:]]), "envelope-protocol"),
    "a protocol with a line after it": (pack(["chat\n", *GOOD[1:]]), "envelope-protocol"),
    "a protocol with a space": (pack(["chat 1", *GOOD[1:]]), "envelope-protocol"),
    "a protocol in other digits": (pack(["chat/١", *GOOD[1:]]), "envelope-protocol"),
    "a protocol in bytes": (pack([b"chat/1", *GOOD[1:]]), "envelope-protocol"),
    "kind 4": (pack(["chat/1", 4, 7, b""]), "envelope-kind"),
    "kind -1": (pack(["chat/1", -1, 7, b""]), "envelope-kind"),
    "a kind that is true": (pack(["chat/1", True, 7, b""]), "envelope-kind"),
    "a kind with a fraction": (pack(["chat/1", 1.0, 7, b""]), "envelope-kind"),
    "no kind": (pack(["chat/1", None, 7, b""]), "envelope-kind"),
    "an id too large": (pack(["chat/1", 0, 2**32, b""]), "envelope-id"),
    "an id below zero": (pack(["chat/1", 0, -1, b""]), "envelope-id"),
    "an id that is false": (pack(["chat/1", 0, False, b""]), "envelope-id"),
    "an id in bytes": (pack(["chat/1", 0, b"7", b""]), "envelope-id"),
    "a body of text": (pack(["chat/1", 0, 7, "body"]), "envelope-body"),
    "no body": (pack(["chat/1", 0, 7, None]), "envelope-body"),
    "a list as body": (pack(["chat/1", 0, 7, [b"body"]]), "envelope-body"),
}


@pytest.mark.parametrize("what", BAD_ENVELOPES)
def test_a_bad_envelope_is_refused_for_its_reason(what: str) -> None:
    data, reason = BAD_ENVELOPES[what]
    with pytest.raises(Malformed) as caught:
        decode_envelope(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("what", ENVELOPES)
def test_the_first_part_tells_what_the_whole_will_say(what: str) -> None:
    envelope = ENVELOPES[what]
    data = encode_envelope(*envelope)
    told = Head(envelope.protocol, envelope.kind, envelope.id, len(envelope.body))
    size = len(data) - len(envelope.body)
    assert head(data) == head(data[:MAX_PART]) == head(data[:size]) == told
    assert all(head(data[:short]) is None for short in range(size))


def test_the_first_part_tells_it_also_of_a_body_that_is_never_to_come() -> None:
    start = pack(["chat/1", REQUEST, 7]).replace(b"\x93", b"\x94", 1)
    assert head(start + b"\xc6\xff\xff\xff\xff" + bytes(MAX_PART)) == Head("chat/1", REQUEST, 7, 2**32 - 1)


def test_an_encoder_that_wastes_bytes_is_understood_the_same() -> None:
    number = b"\xcf" + bytes(7)
    wasteful = b"\xdd\0\0\0\4" + b"\xdb\0\0\0\x20" + b"x" * 32 + number + b"\1" + number + b"\7"
    data = wasteful + b"\xc6\0\0\0\4" + b"body"
    assert len(data) == envelopes.MAX_HEAD + 4
    assert decode_envelope(data) == Envelope("x" * 32, RESPONSE, 7, b"body")
    assert head(data) == Head("x" * 32, RESPONSE, 7, 4)
    assert [head(data[:size]) for size in range(envelopes.MAX_HEAD)] == [None] * envelopes.MAX_HEAD


@pytest.mark.parametrize("what", BAD_ENVELOPES)
def test_a_bad_first_part_is_refused_or_left_to_the_whole(what: str) -> None:
    data, reason = BAD_ENVELOPES[what]
    told: Head | str | None
    try:
        told = head(data)
    except Malformed as error:
        told = error.reason
    if reason == "envelope-encoding":  # of which a first part shows only what lies before the body
        assert told in (None, "envelope-encoding", "envelope-shape") or told[:3] == tuple(GOOD[:3])
    else:
        assert told == reason


def test_a_first_part_that_never_gets_to_its_body_is_refused() -> None:
    with pytest.raises(Malformed, match="envelope-shape"):
        head(b"\x94\xda\xff\xff" + b"x" * 1000)
    with pytest.raises(Malformed, match="envelope-body"):
        head(pack(["chat/1", 0, 7, "a body of text" * 100]))


def test_an_error_says_a_code_and_a_detail() -> None:
    assert decode_error(encode_error("busy")) == ("busy", "")
    assert decode_error(encode_error("storage-failed", "the disk is full")) == ("storage-failed", "the disk is full")
    assert encode_error("busy", "later") == pack(["busy", "later"])


def test_the_detail_of_an_error_is_safe_to_show_whoever_wrote_it() -> None:
    assert decode_error(pack(["busy", "\x1b[2Jgone\n"])) == ("busy", "\\x1b[2Jgone\\x0a")
    assert decode_error(encode_error("busy", "\x1b[2Jgone\n\ud800")) == ("busy", "\\x1b[2Jgone\\x0a\\ud800")
    assert len(decode_error(encode_error("busy", "x" * 1000))[1]) == 200
    assert len(decode_error(pack(["busy", "\0" * 200]))[1]) <= 200


@pytest.mark.parametrize("code", ["", "x" * 33, "No", "a b", "a\n", "a_b", "é"])
def test_a_code_is_one_short_word(code: str) -> None:
    with pytest.raises(ValueError, match="no error code"):
        encode_error(code)
    with pytest.raises(Malformed, match="error"):
        decode_error(pack([code, ""]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        pack([]),
        pack(["busy"]),
        pack("busy"),
        pack(["busy", None]),
        pack(["busy", b"detail"]),
        pack([b"busy", "detail"]),
        pack([7, "detail"]),
        pack(["busy", "x" * 201]),
        pack({"busy": ""}),
        pack(["busy", ""]) + b"\0",
    ],
)
def test_a_bad_error_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_error(body)
    assert caught.value.reason == "error"


@pytest.mark.parametrize("what", CONTROLS)
def test_a_control_is_a_notice_of_the_links_own_protocol_and_reads_back(what: str) -> None:
    control = CONTROLS[what]
    envelope = decode_envelope(encode_control(control))
    assert envelope[:3] == ("link", NOTICE, 0)
    read = decode_control(envelope.body)
    assert read == control
    assert type(read) is type(control)


def test_controls_of_one_shape_are_told_apart() -> None:
    bodies = {decode_envelope(encode_control(control)).body for control in (Ping(1), Pong(1), Keep(), Kept(), Close())}
    assert bodies == {pack([1, 1]), pack([2, 1]), pack([3]), pack([4]), pack([5, "bye"])}


def test_a_reason_that_we_do_not_know_reads_as_a_plain_goodbye() -> None:
    for reason in ("later", "", "\x1b[2J", "x" * 1000):
        assert decode_control(pack([5, reason])) == Close("bye")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        pack(1),
        pack([]),
        pack([0]),
        pack([-1, 1]),
        pack([None]),
        pack([True, 1]),
        pack([1.0, 1]),
        pack(["1", 1]),
        pack([[1], 1]),
        pack([1]),
        pack([2]),
        pack([5]),
        pack([1, -1]),
        pack([1, 2**32]),
        pack([1, True]),
        pack([2, None]),
        pack([2, "1"]),
        pack([5, 1]),
        pack([5, b"bye"]),
        pack([5, None]),
        pack({1: 1}),
        pack([3]) + b"\0",
    ],
    ids=bytes.hex,
)
def test_what_is_no_control_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode_control(body)
    assert caught.value.reason == "control"


def test_a_control_of_a_later_version_is_none_of_ours_and_no_fault() -> None:
    assert decode_control(pack([6])) is None
    assert decode_control(pack([2**32, "more", 7])) is None


def test_a_protocol_has_a_short_plain_name() -> None:
    assert all(map(envelopes.is_protocol, ("a", "link", "chat/1", "a.b-c/9", "x" * 32)))
    assert not any(map(envelopes.is_protocol, ("", "x" * 33, "Chat", "chat 1", "chat\n", "a_b", "ä")))
