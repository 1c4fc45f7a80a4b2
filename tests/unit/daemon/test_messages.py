from __future__ import annotations

import pytest

from kadnet import shapes
from kadnet.daemon.messages import MessageSettings, MessageVerbs
from kadnet.errors import InputError, NotFound
from kadnet.identity import nodeid
from tests.unit.daemon.fake_chat import BOB, EVE, FakeChat

BOB_ID = nodeid.encode(BOB.public)
UNKNOWN = "f" * 32


def verbs(node: FakeChat, settings: MessageSettings | None = None) -> MessageVerbs:
    return MessageVerbs(node, settings)


async def test_a_message_is_posted_and_known_by_its_id() -> None:
    node = FakeChat()
    node.offline = "not found"
    sent = await verbs(node).post(shapes.SendRequest(BOB_ID, "hello"))
    assert sent == shapes.Sent("0" * 31 + "1", "queued", "not found")
    assert node.posted == [(BOB.public, "hello")]
    await node.deliver(bytes.fromhex(sent.id))
    assert verbs(node).sent(sent.id) == await verbs(node).delivered(sent.id) == shapes.Sent(sent.id, "delivered")


async def test_who_is_resolved_with_the_name_it_has() -> None:
    node = FakeChat()
    assert await verbs(node).resolve(shapes.ResolveRequest(BOB_ID)) == shapes.Who(BOB_ID)
    await node.add_contact("bob", BOB_ID)
    assert await verbs(node).resolve(shapes.ResolveRequest("bob")) == shapes.Who(BOB_ID, "bob")


async def test_messages_carry_the_name_of_a_contact_and_no_other() -> None:
    node = FakeChat()
    await node.add_contact("bob", BOB_ID)
    await node.come(BOB.public, "hi")
    await node.come(EVE.public, "psst")
    first, second = await verbs(node).inbox(shapes.InboxRequest())
    assert (first.number, first.sender, first.name, first.text) == (1, BOB_ID, "bob", "hi")
    assert (second.sender, second.name) == (nodeid.encode(EVE.public), None)
    assert (first.sent_at, first.received_at) == (1_700_000_000, 1_700_000_001)


async def test_the_inbox_begins_behind_a_number_and_keeps_to_its_limit() -> None:
    node = FakeChat()
    for text in "abcde":
        await node.come(BOB.public, text)
    found = await verbs(node).inbox(shapes.InboxRequest(after=2, limit=2))
    assert [message.text for message in found] == ["c", "d"]
    found = await verbs(node, MessageSettings(page=1)).inbox(shapes.InboxRequest(after=2))
    assert [message.text for message in found] == ["c"]


async def test_an_answer_ends_where_its_texts_grow_too_large_but_has_one_at_least() -> None:
    node = FakeChat()
    for letter in "äöü":
        await node.come(BOB.public, letter * 50)
    by_bytes = verbs(node, MessageSettings(page_bytes=200))
    assert [message.number for message in await by_bytes.inbox(shapes.InboxRequest())] == [1, 2]
    assert [message.number for message in await by_bytes.inbox(shapes.InboxRequest(after=2))] == [3]
    one = verbs(node, MessageSettings(page_bytes=10))
    assert [message.number for message in await one.inbox(shapes.InboxRequest())] == [1]


async def test_the_outbox_says_to_whom_and_why_not_yet_page_by_page() -> None:
    node = FakeChat()
    node.offline = "not found"
    await node.add_contact("bob", BOB_ID)
    for text in ("one", "two"):
        await node.post("bob", text)
    small = verbs(node, MessageSettings(page_bytes=4))
    (first,) = await small.outbox(shapes.OutboxRequest())
    (second,) = await small.outbox(shapes.OutboxRequest(first.number))
    assert (first.text, first.recipient, first.name, first.problem) == ("one", BOB_ID, "bob", "not found")
    assert (second.text, second.attempts, second.next_at) == ("two", 2, 1_700_000_004.5)
    assert await small.outbox(shapes.OutboxRequest(second.number)) == []


async def test_contacts_are_added_listed_and_removed() -> None:
    node = FakeChat()
    at = f"kadnet://{BOB_ID}@192.0.2.7:7420"
    added = await verbs(node).add_contact(shapes.ContactRequest("bob", at))
    assert added == shapes.BookEntry("bob", BOB_ID, at, 1_700_000_000)
    assert await verbs(node).contacts() == [added]
    assert await verbs(node).remove_contact(shapes.NameRequest("bob")) == added
    assert await verbs(node).contacts() == []


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf"), 3601.0])
async def test_what_is_no_time_to_wait_is_refused_before_anything_is_sent(wait: float) -> None:
    node = FakeChat()
    with pytest.raises(InputError, match="wait is 0 to 3600 seconds"):
        await verbs(node).post(shapes.SendRequest(BOB_ID, "hello", wait))
    assert node.posted == []


@pytest.mark.parametrize("wait", [-1.0, float("nan"), 30.5])
async def test_a_poll_waits_half_a_minute_at_most(wait: float) -> None:
    with pytest.raises(InputError, match="wait is 0 to 30 seconds"):
        await verbs(FakeChat()).inbox(shapes.InboxRequest(wait=wait))


@pytest.mark.parametrize("request_", [shapes.InboxRequest(after=-1), shapes.InboxRequest(after=2**63)])
async def test_what_is_no_number_of_a_message_is_refused(request_: shapes.InboxRequest) -> None:
    with pytest.raises(InputError, match="after is a whole number from 0"):
        await verbs(FakeChat()).inbox(request_)
    with pytest.raises(InputError, match="after"):
        await verbs(FakeChat()).outbox(shapes.OutboxRequest(request_.after))


async def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="limit is a whole number from 1"):
        await verbs(FakeChat()).inbox(shapes.InboxRequest(limit=0))


async def test_half_a_surrogate_pair_is_refused_by_name() -> None:
    node = FakeChat()
    with pytest.raises(InputError, match="message is not text"):
        await verbs(node).post(shapes.SendRequest(BOB_ID, "\ud800"))
    with pytest.raises(InputError, match="recipient is not text"):
        await verbs(node).post(shapes.SendRequest("\ud800", "x"))
    with pytest.raises(InputError, match="recipient is not text"):
        await verbs(node).resolve(shapes.ResolveRequest("\ud800"))
    with pytest.raises(InputError, match="name is not text"):
        await verbs(node).add_contact(shapes.ContactRequest("\ud800", BOB_ID))
    with pytest.raises(InputError, match="name is not text"):
        await verbs(node).remove_contact(shapes.NameRequest("\ud800"))


@pytest.mark.parametrize("id", ["", "abc", "F" * 32, "g" * 32, "f" * 33])
def test_what_is_no_id_of_a_message_is_refused(id: str) -> None:
    with pytest.raises(InputError, match="32 hexadecimal digits"):
        verbs(FakeChat()).sent(id)


async def test_a_message_that_was_never_sent_is_not_found() -> None:
    with pytest.raises(NotFound):
        verbs(FakeChat()).sent(UNKNOWN)
    with pytest.raises(NotFound):
        await verbs(FakeChat()).delivered(UNKNOWN)
