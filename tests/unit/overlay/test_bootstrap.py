"""Getting in, staying in, getting in again."""

from __future__ import annotations

from pathlib import Path

import trio

from kadnet.identity import nodeid
from kadnet.lab import run_until
from kadnet.overlay.bootstrap import BootstrapState
from kadnet.wire import packets
from tests.unit.overlay.builders import PORT, Lab, contact_of, identity, in_lab


def problems(states: list[BootstrapState]) -> list[str | None]:
    return [state.problem for state in states]


@in_lab
async def test_one_living_address_of_several_is_enough(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", "10.9.9.9:7420", "no.such.name:7420", seed)
    assert [contact.id for contact in node.overlay.contacts()] == [seed.identity.public]
    dead, nameless, good = node.overlay.bootstrap_states()
    await run_until(lambda: dead.problem is not None, 10)
    assert dead.problem is not None
    assert "10.9.9.9" in dead.problem
    assert nameless.problem is not None
    assert "no.such.name" in nameless.problem
    assert good.answered
    assert good.problem is None


@in_lab
async def test_a_bare_address_is_probed_for_its_id(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", f"10.0.0.1:{PORT}")
    assert node.overlay.contacts() == [contact_of(seed)]
    assert await node.overlay.ask_id(contact_of(seed).endpoint) == seed.identity.public


@in_lab
async def test_a_probe_is_answered_by_the_endpoint_it_went_to_or_by_nobody(lab: Lab) -> None:
    node = await lab.node("node", "10.0.0.1")
    probed, eavesdropper = await lab.raw("probed", "10.0.0.2"), await lab.raw("eavesdropper", "10.0.0.3")

    async def forge() -> None:
        await run_until(lambda: probed.inbox, 5)
        cookie = packets.open_probe(probed.inbox[0][0])
        forged = packets.probe_reply(cookie, identity("eavesdropper").public)
        eavesdropper.socket.send(forged, contact_of(node).endpoint)

    lab.nursery.start_soon(forge)
    assert await node.overlay.ask_id(probed.socket.local) is None


@in_lab
async def test_a_wrong_id_in_an_address_is_not_accepted(lab: Lab) -> None:
    await lab.node("seed", "10.0.0.1")
    wrong = nodeid.encode(identity("somebody else").public)
    node = await lab.node("node", "10.0.1.1", f"kadnet://{wrong}@10.0.0.1:{PORT}", join=False)
    await trio.sleep(30)
    assert node.overlay.contacts() == []
    assert not node.overlay.is_joined
    (state,) = node.overlay.bootstrap_states()
    assert not state.answered
    assert state.problem


@in_lab
async def test_an_unreachable_bootstrap_is_named_and_joined_when_it_comes_up(lab: Lab) -> None:
    node = await lab.node("node", "10.0.1.1", f"10.0.0.1:{PORT}", join=False)
    await trio.sleep(60)
    (state,) = node.overlay.bootstrap_states()
    assert state.problem == f"no answer from 10.0.0.1 port {PORT}"
    assert 4 <= state.attempts <= 10  # again and again, with a growing pause
    seed = await lab.node("seed", "10.0.0.1")
    with trio.fail_after(61):
        await node.overlay.joined()
    assert node.overlay.contacts() == [contact_of(seed)]
    await run_until(lambda: state.problem is None, 5)


@in_lab
async def test_its_own_address_as_bootstrap_is_said(lab: Lab) -> None:
    node = await lab.node("node", "10.0.1.1", f"10.0.1.1:{PORT}", join=False)
    await trio.sleep(5)
    assert problems(node.overlay.bootstrap_states()) == ["that is this node itself"]
    assert node.overlay.contacts() == []


@in_lab
async def test_a_restart_rejoins_from_the_peer_cache_although_no_bootstrap_lives(lab: Lab, tmp_path: Path) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    friend = await lab.node("friend", "10.0.2.1", seed)
    node = await lab.node("node", "10.0.1.1", seed, data_dir=tmp_path / "node")
    await run_until(lambda: len(node.overlay.contacts()) == 2, 30)
    await lab.stop("node")
    await lab.stop("seed", crash=True)
    again = await lab.node("node", "10.0.1.1", seed, data_dir=tmp_path / "node")
    assert contact_of(friend) in again.overlay.contacts()


@in_lab
async def test_the_peers_are_on_disk_even_after_a_power_cut(lab: Lab, tmp_path: Path) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    await lab.node("node", "10.0.1.1", seed, data_dir=tmp_path / "node")
    await trio.sleep(2)
    await lab.stop("node", crash=True)
    again = await lab.node("node", "10.0.1.1", data_dir=tmp_path / "node", join=True)
    assert again.overlay.contacts() == [contact_of(seed)]


@in_lab
async def test_alone_again_it_seeks_at_once(lab: Lab) -> None:
    """All its peers die; a bootstrap address that answered before comes back under another ID."""
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", f"10.0.0.1:{PORT}", await lab.node("friend", "10.0.2.1", seed))
    await run_until(lambda: len(node.overlay.contacts()) == 2, 30)
    await lab.stop("seed", crash=True)
    await trio.sleep(600)
    await lab.stop("friend", crash=True)
    other = await lab.node("other seed", "10.0.0.1")
    await run_until(lambda: contact_of(other) in node.overlay.contacts(), 120)


@in_lab
async def test_alone_for_an_hour_it_is_back_within_a_minute(lab: Lab) -> None:
    seed = await lab.node("seed", "10.0.0.1")
    node = await lab.node("node", "10.0.1.1", f"10.0.0.1:{PORT}")
    assert node.overlay.contacts() == [contact_of(seed)]
    await lab.stop("seed", crash=True)
    await trio.sleep(3600)
    (state,) = node.overlay.bootstrap_states()
    assert state.attempts < 120  # it went on asking, with a growing pause
    other = await lab.node("other seed", "10.0.0.1")
    await run_until(lambda: contact_of(other) in node.overlay.contacts(), 61)
