"""Requests and answers over sealed datagrams: the pending table, retransmission, and the order of checks.

A query is an entry in the pending table with two callbacks, never a task. Incoming datagrams are checked cheapest
first: length and two bytes; the key cache; for strangers the recipient tag and the budgets, all before any key
agreement; the box; the shape; then the pending table, or the token and the responder. Whatever a peer sends wrong is
one `ProtocolError`, counted by its reason and dropped in silence.

A request proves only that its sender once made it: it changes no endpoint, no liveness and no round-trip estimate.
An answer counts when it comes to a pending id, from that very peer and endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from kadnet.errors import Malformed, ProtocolError
from kadnet.identity.address import Endpoint, family, prefix, scope
from kadnet.identity.keys import Identity
from kadnet.kademlia.contact import Contact
from kadnet.kademlia.limits import PrefixBudgets
from kadnet.kademlia.rtt import NodeRtt
from kadnet.overlay.calls import Asker, Call, Hooks, OnAnswer, OnFailure, RpcCounters, RpcSettings
from kadnet.overlay.peers import Peer, PeerBook
from kadnet.overlay.tokens import Tokens, TokenSettings, is_valid
from kadnet.pump import Pump
from kadnet.transport import Datagrams
from kadnet.wire import packets
from kadnet.wire.messages import (
    ANSWER_OF,
    PADDED,
    PADDED_PING,
    REQUESTS,
    SERVES,
    SHORT,
    WANT_V4,
    WANT_V6,
    Answer,
    Nodes,
    Ping,
    Pong,
    Request,
    Values,
    decode,
    encode,
    encode_padded,
)

NONCE_AND_ID = packets.NONCE_SIZE + 8


class Rpc:
    """All requests of one node, in both directions, over one datagram port per family."""

    def __init__(
        self,
        identity: Identity,
        network: bytes,
        *,
        pump: Pump,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        peers: PeerBook,
        rtt: NodeRtt,
        hooks: Hooks,
        serves: bool,
        settings: RpcSettings,
        tokens: TokenSettings,
    ) -> None:
        self._identity = identity
        self._network = network
        self._pump = pump
        self._now = now
        self._entropy = entropy
        self._pool = b""
        self._drawn = 0
        self._peers = peers
        self._rtt = rtt
        self._hooks = hooks
        self._settings = settings
        self._token_life = tokens.epoch
        self._tokens = Tokens(entropy(32), tokens)
        self._budgets = PrefixBudgets(
            settings.stranger_rate,
            settings.stranger_burst,
            settings.node_rate,
            settings.node_burst,
            settings.max_prefixes,
        )
        self._pending: dict[bytes, tuple[Call, float]] = {}
        self._sockets: dict[int, Datagrams] = {}
        self._heard_at = 0.0
        self.closed = False
        self.flags = SERVES if serves else 0
        self.counters = RpcCounters()

    def attach(self, socket: Datagrams) -> None:
        """Use this port for its family, and ask others for contacts of it."""
        number = family(socket.local)
        self._sockets[number] = socket
        self.flags |= WANT_V4 if number == 4 else WANT_V6

    def close(self) -> None:
        """Ask nothing more; what is under way fails now, so that nobody waits for an answer that cannot come."""
        self.closed = True
        for call in list(dict.fromkeys(call for call, _ in self._pending.values())):
            self._close(call)
            call.on_failure("closed")

    @property
    def families(self) -> frozenset[int]:
        return frozenset(self._sockets)

    @property
    def open_calls(self) -> int:
        return len(self._pending)

    async def receive(self, socket: Datagrams) -> None:
        """Serve one port until it is closed or we are cancelled."""
        while True:
            try:
                batch = await socket.receive()
            except trio.ClosedResourceError:
                return
            now = self._now()
            for data, source in batch:
                self.on_datagram(socket, data, source, now)

    # --- asking

    def ask(
        self,
        contact: Contact,
        kind: type[Request],
        args: tuple[object, ...],
        on_answer: OnAnswer,
        on_failure: OnFailure,
        *,
        attempts: int = 1,
    ) -> Call | None:
        """Send a request of `kind` with the fields after its token.

        Exactly one of the callbacks is called, once. With `attempts` above 1 it is retransmitted by a timer of its
        own; with 1 it stays open for `patience` and the caller may `retransmit`. None: it failed on the spot.
        """
        if self.closed or len(self._pending) >= self._settings.max_pending:
            on_failure("closed" if self.closed else "too many requests open")
            return None
        if contact.family not in self._sockets:
            on_failure("no port of that family")
            return None
        try:
            peer = self._peers.to_ask(contact.id)
        except ProtocolError as error:
            self.counters.dropped.add(error.reason)
            self._hooks.failed(contact, self._now())  # nobody can have this ID: whoever remembers it forgets it
            on_failure(error.reason)
            return None
        call = Call(contact, peer, kind, args, on_answer, on_failure, attempts)
        self.counters.requests_sent += 1
        self._transmit(call)
        return call

    def retransmit(self, call: Call) -> None:
        """Send it once more under a new id, so that the answer tells which transmission it belongs to."""
        if call.ids:
            self.counters.retransmitted += 1
            self._transmit(call)

    def timeout(self, contact: Contact) -> float:
        """Seconds in which an answer of this contact is to be expected."""
        peer = self._peers.get(contact.id)
        return self._rtt.timeout(peer.rtt if peer is not None else None)

    def second_timeout(self, contact: Contact) -> float:
        """Seconds to wait once more when that has passed and the request was sent again."""
        peer = self._peers.get(contact.id)
        return self._rtt.second(peer.rtt if peer is not None else None)

    def is_near(self, contact: Contact, now: float) -> bool:
        """Whether this contact once answered so fast that asking a second one beside it gains next to nothing.

        Its fastest answer says how far away it is; the usual one also says how busy we are.
        """
        peer = self._peers.get(contact.id)
        if peer is None or peer.fastest > self._settings.near:
            return False
        return not peer.silence.unanswered or now - peer.silence.since <= self._rtt.timeout(peer.rtt)

    def head_start(self, contact: Contact) -> float:
        """Seconds after which a near contact that was asked alone is in doubt, and the next is asked beside it."""
        peer = self._peers.get(contact.id)
        wait = self._rtt.timeout(None if peer is None else peer.rtt)
        wait = min(wait, self._settings.longest_head_start)
        if peer is None or peer.rtt.srtt is None or peer.rtt.rttvar is None:
            return wait
        return min(wait, peer.rtt.srtt + max(self._settings.head_start, 4 * peer.rtt.rttvar))

    def is_silent(self, contact: Contact, now: float) -> bool:
        """Whether asking this contact again would only waste the time of a walk: see `Silence.lasts`."""
        peer = self._peers.get(contact.id)
        if peer is None or peer.silence.unanswered < 2:  # nearly always: spare the rest
            return False
        return peer.silence.lasts(
            contact.endpoint,
            now,
            timeout=self._rtt.timeout(peer.rtt),
            heard_at=self._heard_at,
            memory=self._settings.silence,
        )

    def probe(self, endpoint: Endpoint, cookie: bytes) -> bool:
        """Ask whoever is at `endpoint` for its ID; the answer comes as the hook `claimed`."""
        socket = self._sockets.get(family(endpoint))
        if socket is None:
            return False
        return self._put(socket, packets.probe(cookie, self._network), endpoint)

    def _transmit(self, call: Call) -> None:
        now = self._now()
        peer = call.peer
        random = self._random()
        id = random[packets.NONCE_SIZE :]
        token = peer.token if now - peer.token_at < self._token_life else b""
        request = call.kind(id, self.flags, token, *call.args)  # type: ignore[arg-type]  # the fields of its kind
        if call.kind is Ping:
            # Always: a PONG is larger than the barest PING, so a peer that restarted and does not know our token any
            # more could not answer it, and would look dead for as long as we keep the token.
            message = encode_padded(request, PADDED_PING)
        else:
            message = encode(request) if token else encode_padded(request, PADDED)
        self._pending[id] = (call, now)
        call.ids.append(id)
        contact = call.contact
        peer.silence.asked(contact.endpoint, now)
        self._put(
            self._sockets[contact.family], peer.channel.seal(message, random[: packets.NONCE_SIZE]), contact.endpoint
        )
        call.attempts_left -= 1
        if call.timer is not None:
            if call.attempts_left < 0:  # retransmitted by the caller: what is left of its patience goes on
                return
            call.timer.cancel()
        if call.attempts_left > 0 or len(call.ids) > 1:
            wait = self._rtt.timeout(peer.rtt) * 2 ** (len(call.ids) - 1)
        else:
            wait = self._settings.patience
        call.timer = self._pump.call_at(now + wait, partial(self._expire, call))

    def _expire(self, call: Call) -> None:
        if call.attempts_left > 0:
            self.retransmit(call)
            return
        self._close(call)
        self.counters.timed_out += 1
        self._hooks.failed(call.contact, self._now())
        call.on_failure("no answer")

    def _close(self, call: Call) -> None:
        for id in call.ids:
            self._pending.pop(id, None)
        call.ids.clear()
        if call.timer is not None:
            call.timer.cancel()

    def _random(self) -> bytes:
        start = self._drawn
        if start + NONCE_AND_ID > len(self._pool):
            self._pool = self._entropy(self._settings.entropy_block)
            start = 0
        self._drawn = start + NONCE_AND_ID
        return self._pool[start : self._drawn]

    # --- sending

    def send(self, socket: Datagrams, peer: Peer, message: bytes, to: Endpoint) -> None:
        """Seal a message for `peer` and send it to where its request came from."""
        self._put(socket, peer.channel.seal(message, self._random()[: packets.NONCE_SIZE]), to)

    def _put(self, socket: Datagrams, datagram: bytes, to: Endpoint) -> bool:
        if socket.send(datagram, to):
            self.counters.datagrams_out += 1
            self.counters.bytes_out += len(datagram)
            return True
        self.counters.not_sent += 1
        return False

    # --- receiving

    def on_datagram(self, socket: Datagrams, data: bytes, source: Endpoint, now: float) -> None:
        """Any bytes at all. What is wrong with them is counted and nothing else happens."""
        counters = self.counters
        counters.datagrams_in += 1
        counters.bytes_in += len(data)
        try:
            kind = packets.kind_of(data)
            if kind == packets.SEALED:
                self._on_sealed(socket, data, source, now)
            elif kind == packets.PROBE:
                self._on_probe(socket, data, source, now)
            else:
                cookie, id = packets.open_probe_reply(data, self._network)
                self._hooks.claimed(cookie, id, source)
        except ProtocolError as error:
            counters.dropped.add(error.reason)

    def _on_sealed(self, socket: Datagrams, data: bytes, source: Endpoint, now: float) -> None:
        sender = data[10:42]
        peer = self._peers.get(sender)
        if peer is None:
            peer, plain = self._admit(data, sender, source, now)
        else:
            plain = peer.channel.open(data)
        message = decode(plain)
        if type(message) in REQUESTS:
            self._on_request(socket, message, peer, source, len(data), now)  # type: ignore[arg-type]  # in REQUESTS
        else:
            self._on_answer(message, peer, source, now)  # type: ignore[arg-type]  # the others are answers

    def _admit(self, data: bytes, sender: bytes, source: Endpoint, now: float) -> tuple[Peer, bytes]:
        """A stranger: nothing dear is done for it before the tag and the budgets have been passed."""
        if packets.tag_of(data) != packets.recipient_tag(self._network, sender, self._identity.public):
            raise Malformed("tag")
        if sender == self._identity.public:
            raise Malformed("self")
        if not self.within_budget(source, now):
            raise Malformed("budget")
        channel = packets.Channel(self._identity, sender, self._network)
        plain = channel.open(data)
        return self._peers.admit(sender, channel), plain

    def within_budget(self, source: Endpoint, now: float) -> bool:
        """Whether a stranger at `source` may cost us something; it is counted when it may."""
        return scope(source.host) in _EXEMPT or self._budgets.allow(prefix(source.host), now)

    def _on_probe(self, socket: Datagrams, data: bytes, source: Endpoint, now: float) -> None:
        cookie = packets.open_probe(data, self._network)
        if not self.within_budget(source, now):
            raise Malformed("budget")
        self._put(socket, packets.probe_reply(cookie, self._identity.public, self._network), source)

    def _on_request(
        self, socket: Datagrams, request: Request, peer: Peer, source: Endpoint, size: int, now: float
    ) -> None:
        issued = peer.issued = self._tokens.issued(peer.issued, peer.id, source, now)
        proven = bool(request.token) and is_valid(issued, request.token)
        room = (packets.MAX_DATAGRAM if proven else size) - packets.HEADER
        self.counters.requests_served += 1
        self._hooks.serve(request, Asker(self, socket, peer, source, request.id, issued.current, proven, room), now)
        if request.flags & SERVES and (proven or size >= PADDED_PING):
            self._hooks.requested(peer, source, now)

    def _on_answer(self, answer: Answer, peer: Peer, source: Endpoint, now: float) -> None:
        waiting = self._pending.get(answer.id)
        if waiting is None:
            raise Malformed("unsolicited")
        call, sent_at = waiting
        if call.peer is not peer or call.contact.endpoint != source:
            raise Malformed("unsolicited")
        if type(answer) is not ANSWER_OF[call.kind]:
            raise Malformed("wrong-answer")
        rtt = now - sent_at
        peer.silence.answered()
        self._heard_at = now
        if rtt < peer.fastest:
            peer.fastest = rtt
        self._rtt.observe(peer.rtt, rtt)
        if isinstance(answer, (Pong, Nodes, Values)):
            peer.token, peer.token_at = answer.token, now
        self._hooks.answered(call.contact, rtt, bool(answer.flags & SERVES), now)
        if answer.flags & SHORT and not call.again:
            # Our token had aged, or died with the peer's last process. Its answer brought a new one.
            call.again = True
            self.retransmit(call)
            return
        self._close(call)
        self.counters.answers_received += 1
        call.on_answer(answer, rtt, now)


_EXEMPT = frozenset({0, 1})  # Scope.LOOPBACK, Scope.PRIVATE: no stranger from outside comes from there
