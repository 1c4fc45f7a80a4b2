"""Finding a node: where the table has it, where a walk hears of it, and where it answers itself."""

from __future__ import annotations

import pytest
import trio

from kadnet.errors import NotConnected
from kadnet.host import Host
from kadnet.identity.address import Endpoint, pack
from kadnet.kademlia.contact import Contact
from kadnet.wire.messages import SERVES, FindNode, Nodes, Ping, Pong, Request
from tests.unit.overlay.builders import Lab, contact_of, fill, identity, in_lab

RTT = 0.1
FALSE = [Endpoint(f"66.6.{number}.6", 7420) for number in range(16)]


async def search(host: Host, id: bytes) -> tuple[Contact | None, list[Contact]]:
    named: list[Contact] = []
    return await host.overlay.seeker.search(id, named.append), named


async def liar(lab: Lab, about: bytes) -> Contact:
    """One who names sixteen places for one node."""
    peer = await lab.raw("liar", "66.0.0.1")
    false = b"".join(about + pack(place) for place in FALSE)

    def behave(request: Request, sender: Contact) -> None:
        if isinstance(request, FindNode):
            peer.reply(Nodes(request.id, SERVES, bytes(8), false, b""), sender)
        elif isinstance(request, Ping):
            peer.reply(Pong(request.id, SERVES, bytes(8), bytes(6), b"\x01", 0), sender)

    peer.behave = behave
    return peer.contact


@in_lab
async def test_a_node_of_the_table_is_known_at_once(lab: Lab) -> None:
    alice, bob = await lab.overlay(2)
    seeker = alice.overlay.seeker
    assert seeker.known(bob.id) == [contact_of(bob)]
    assert seeker.known(identity("nobody").public) == []
    start = trio.current_time()  # noqa: TID251  # the lab's clock is trio's
    assert await seeker.find(bob.id) == contact_of(bob)
    assert trio.current_time() == start  # noqa: TID251  # the lab's clock is trio's


@in_lab
async def test_a_walk_names_a_place_before_the_node_itself_has_answered(lab: Lab) -> None:
    nodes = await lab.overlay(8)
    seeker, sought = await lab.node("seeker", "10.1.0.1"), nodes[5]
    fill(seeker, [contact_of(nodes[2])])
    named: list[tuple[float, Contact]] = []
    start = seeker.runtime.now()
    answered = await seeker.overlay.seeker.search(
        sought.id, lambda contact: named.append((seeker.runtime.now() - start, contact))
    )
    assert [contact for _, contact in named] == [contact_of(sought)], "each place once"
    assert named[0][0] == pytest.approx(RTT)
    assert answered == contact_of(sought)
    assert seeker.runtime.now() - start > RTT * 1.5


@in_lab
async def test_sixteen_false_places_are_named_and_do_not_hide_where_the_node_answers(lab: Lab) -> None:
    nodes = await lab.overlay(6)
    seeker = await lab.node("seeker", "10.1.0.1")
    fill(seeker, [contact_of(nodes[2]), await liar(lab, nodes[4].id)])
    answered, named = await search(seeker, nodes[4].id)
    assert answered == contact_of(nodes[4])
    assert len(named) == len({contact.endpoint for contact in named}) > 8
    assert {contact.id for contact in named} == {nodes[4].id}


@in_lab
async def test_a_link_to_a_node_about_which_one_lies_is_made_all_the_same(lab: Lab) -> None:
    nodes = await lab.overlay(6)
    seeker = await lab.node("seeker", "10.1.0.1")
    fill(seeker, [contact_of(nodes[2]), await liar(lab, nodes[4].id)])

    async def echo(_peer: bytes, body: bytes) -> bytes:
        return body

    nodes[4].handle("echo", echo)
    with trio.fail_after(10):
        assert await seeker.request(nodes[4].id, "echo", b"x") == b"x"


@in_lab
async def test_a_node_that_is_gone_is_not_said_to_have_answered(lab: Lab) -> None:
    nodes = await lab.overlay(6)
    gone = nodes[4].id
    await lab.stop("n4", crash=True)
    seeker = await lab.node("seeker", "10.1.0.1")
    fill(seeker, [contact_of(nodes[2])])
    answered, named = await search(seeker, gone)
    assert answered is None
    assert [contact.id for contact in named] in ([], [gone])
    assert await seeker.overlay.seeker.find(gone) is None


@in_lab
async def test_with_nobody_to_ask_a_search_says_so(lab: Lab) -> None:
    alone = await lab.node("alone", "10.1.0.1")
    with pytest.raises(NotConnected):
        await search(alone, identity("nobody").public)
    with pytest.raises(NotConnected):
        await alone.overlay.seeker.walk_to(bytes(32))
    assert await alone.overlay.seeker.find(identity("nobody").public) is None
