"""An `Rpc` by itself on a virtual host, which answers every request with an empty PONG, NODES or the like."""

from __future__ import annotations

# ruff: noqa: TID251 -- the lab's clock is trio's, on virtual time
from dataclasses import dataclass, field
from typing import Any

import trio

from kadnet.identity.address import Endpoint, pack
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.rtt import NodeRtt
from kadnet.lab import Entropy
from kadnet.overlay.calls import Asker, Hooks, RpcSettings
from kadnet.overlay.peers import Peer, PeerBook, PeerSettings
from kadnet.overlay.rpc import Rpc
from kadnet.overlay.tokens import TokenSettings
from kadnet.wire.messages import SERVES, FindNode, Nodes, Ping, Pong, Request
from tests.unit.overlay.builders import PORT, PUBLIC, Lab, identity


@dataclass
class Heard:
    """What the hooks were told."""

    served: list[tuple[Request, Asker]] = field(default_factory=list)
    answered: list[tuple[Contact, float, bool]] = field(default_factory=list)
    failed: list[Contact] = field(default_factory=list)
    requested: list[tuple[bytes, Endpoint]] = field(default_factory=list)
    claimed: list[tuple[bytes, bytes, Endpoint]] = field(default_factory=list)


class Bare:
    def __init__(self, rpc: Rpc, heard: Heard, contact: Contact, rtt: NodeRtt, book: PeerBook) -> None:
        self.rpc = rpc
        self.heard = heard
        self.contact = contact
        self.rtt = rtt
        self.book = book

    async def call(self, to: Contact, kind: type[Request] = Ping, *args: object, attempts: int = 1) -> Any:
        """Ask and wait: the answer, or the reason as text."""
        results: list[Any] = []
        done = trio.Event()

        def answered(answer: Any, _rtt: float, _now: float) -> None:
            results.append(answer)
            done.set()

        def failed(reason: str) -> None:
            results.append(reason)
            done.set()

        self.rpc.ask(to, kind, args, answered, failed, attempts=attempts)
        await done.wait()
        assert len(results) == 1
        return results[0]


async def bare(
    lab: Lab,
    name: str,
    ip: str,
    *,
    serves: bool = True,
    network: bytes = PUBLIC,
    settings: RpcSettings | None = None,
    peers: PeerSettings | None = None,
    tokens: TokenSettings | None = None,
    restarts: int = 0,
) -> Bare:
    """`restarts`: another one has another token secret."""
    machine = lab.internet.host(name, [ip])
    socket = await machine.datagrams(Endpoint(ip, PORT))
    heard, rtt, who = Heard(), NodeRtt(), identity(name)

    def serve(request: Request, asker: Asker, _now: float) -> None:
        heard.served.append((request, asker))
        if isinstance(request, Ping):
            asker.reply(Pong(request.id, rpc.flags, asker.token, pack(asker.source), b"\x01", 0))
        elif isinstance(request, FindNode):
            short = 0 if asker.room >= 700 else 8
            asker.reply(Nodes(request.id, SERVES | short, asker.token, bytes(0 if short else 608), b""))

    def requested(peer: Peer, source: Endpoint, _now: float) -> None:
        heard.requested.append((peer.id, source))

    book = PeerBook(who, network, peers or PeerSettings())
    rpc = Rpc(
        who,
        network,
        pump=lab.internet.pump,
        now=trio.current_time,
        entropy=Entropy(restarts, name),
        peers=book,
        rtt=rtt,
        hooks=Hooks(
            serve,
            lambda contact, round_trip, serving, _now: heard.answered.append((contact, round_trip, serving)),
            lambda contact, _now: heard.failed.append(contact),
            requested,
            lambda cookie, id, source: heard.claimed.append((cookie, id, source)),
        ),
        serves=serves,
        settings=settings or RpcSettings(),
        tokens=tokens or TokenSettings(),
    )
    rpc.attach(socket)
    lab.nursery.start_soon(rpc.receive, socket)
    return Bare(rpc, heard, Contact(who.public, socket.local), rtt, book)
