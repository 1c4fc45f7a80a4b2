"""libtorrent's mainline DHT (C++, its Python binding), immutable items of BEP 44. Run by its own interpreter.

It is measured without the defences that would not let many nodes live on one address: one node for each address in
tables and searches, the limits on the rate of answers and of requests from one address. Its bootstrap is node 0.

A session knows at first only node 0 and meets another about every five seconds: most of `build_s` is waiting, at almost
no CPU, until each knows eight. Told every address at once, 16 sessions know each other within 0.3 s.

A libtorrent node may be among the nodes that its own search asks. Which values it holds is read from the puts that
arrive at it (alerts of its packets), and those it is not asked for.
"""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import libtorrent as lt  # type: ignore[import-not-found]  # lives in an environment of its own

sys.path.append(str(Path(__file__).resolve().parents[2]))  # another environment's interpreter runs this as a script

from benchmarks.peers.blocking import measure_largest, measure_overlay, serve_lines
from benchmarks.peers.driver import HOST, Build, Largest, Row, main, say

PEER: Row = {"peer": "libtorrent", "version": lt.__version__}
DOES_NOT = [
    "encrypt datagrams",
    "sign immutable values (mutable ones are signed)",
    "keep values on disk",
    "republish a value, nor hand it to nodes that come later",
    "keep more than 8 copies of a value",
    "take more than 1000 bytes with their length (BEP 44)",
]
MEASURED = [
    "its limits for each address and on rates are lifted, its bootstrap is node 0",
    "building is nearly all waiting: 0.3 s when every node is told every address",
]
CANNOT = {
    "ping": "its Python binding has no call for a single request",
    "stream": "its encrypted streams carry torrents, not the bytes of an application",
}

FIRST_PORT = 21000
CONTACTS = 8
JOIN_SECONDS = 90.0
SETTLE_SECONDS = 3.0
PUT_SECONDS = 10.0
GET_SECONDS = 5.0
_ALIVE: list[Any] = []
"""Keeps every session to the end of the process: one that is let go waits for seconds."""
_ALERTS = int(lt.alert.category_t.dht_notification)
_PACKETS = int(lt.alert.category_t.dht_log_notification)


class Node:
    """A session of libtorrent that is nothing but a node of the DHT."""

    def __init__(self, port: int, door: int | None, *, watched: bool = False) -> None:
        self.copies: dict[str, int] = {}
        self._held: set[str] = set()
        self._bootstrapped = False
        settings = {
            "listen_interfaces": f"{HOST}:{port}",
            "dht_bootstrap_nodes": "" if door is None else f"{HOST}:{door}",
            "enable_dht": True,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "dht_upload_rate_limit": 100_000_000,
            "dht_block_ratelimit": 10_000_000,
            "dht_restrict_routing_ips": False,
            "dht_restrict_search_ips": False,
            "dht_ignore_dark_internet": False,
            "dht_prefer_verified_node_ids": False,
            "dht_max_dht_items": 100_000,
            "alert_mask": _ALERTS | (_PACKETS if watched else 0),
            "alert_queue_size": 100_000,
        }
        self._session = lt.session(settings)
        _ALIVE.append(self._session)
        if door is not None:
            # A bootstrap node is asked but never enters a table; as an ordinary contact it does.
            self._session.add_dht_node((HOST, door))

    @property
    def bootstrapped(self) -> bool:
        """Whether its first search, which begins at its door, has ended."""
        self._alerts()
        return self._bootstrapped

    @property
    def contacts(self) -> int:
        """Nodes in its table."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor says the same, by an alert
            return int(self._session.status().dht_nodes)

    def watch(self, *, packets: bool) -> None:
        """Whether to see arriving puts; each packet costs an alert, so it is off while gets are timed."""
        self._alerts()
        self._session.apply_settings({"alert_mask": _ALERTS | (_PACKETS if packets else 0)})

    def put(self, value: bytes) -> str:
        self._alerts()
        key = str(self._session.dht_put_immutable_item(value))
        alert = self._wait(lt.dht_put_alert, key, PUT_SECONDS)
        self.copies[key] = alert.num_success if alert else 0
        if not self.copies[key]:
            raise ValueError("no node stores it" if alert else f"no end of the put within {PUT_SECONDS:g} s")
        return key

    def get(self, key: str) -> bytes | None:
        self._alerts()
        self.ask(key)
        return _item(self._wait(lt.dht_immutable_item_alert, key, GET_SECONDS))

    def ask(self, key: str) -> None:
        self._session.dht_get_immutable_item(lt.sha1_hash(bytes.fromhex(key)))

    def answers(self) -> list[tuple[str, bytes | None]]:
        found = self._alerts(20)
        return [(str(one.target), _item(one)) for one in found if isinstance(one, lt.dht_immutable_item_alert)]

    def holds(self, key: str) -> bool:
        self._alerts()
        return key in self._held

    def _alerts(self, milliseconds: int = 0) -> list[Any]:
        if milliseconds:
            self._session.wait_for_alert(milliseconds)
        seen = list(self._session.pop_alerts())
        for alert in seen:
            if isinstance(alert, lt.dht_pkt_alert) and (key := stored_by(alert)):
                self._held.add(key)
            elif isinstance(alert, lt.dht_bootstrap_alert):
                self._bootstrapped = True
        return seen

    def _wait(self, kind: Any, key: str, seconds: float) -> Any:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for alert in self._alerts(50):
                if isinstance(alert, kind) and str(alert.target) == key:
                    return alert
        return None


def _item(alert: Any) -> bytes | None:
    """The value of a get's alert; an empty one says that there is none."""
    return alert.item if alert is not None and isinstance(alert.item, bytes) and alert.item else None


def stored_by(alert: Any) -> str | None:
    """The key of the value that this packet puts at the node itself, or None of any other packet (BEP 44)."""
    packet = alert.pkt_buf
    if b"1:q3:put" not in packet or not alert.message().startswith("<=="):
        return None
    _, _, rest = packet.partition(b"5:token")
    length, _, rest = rest.partition(b":")
    length, _, rest = rest[int(length) :].removeprefix(b"1:v").partition(b":")
    return hashlib.sha1(length + b":" + rest[: int(length)], usedforsecurity=False).hexdigest()


def joined(nodes: int) -> list[Node]:
    """Nodes that each know `CONTACTS` others, or all there are."""
    everyone = [Node(FIRST_PORT, None)]
    everyone += [Node(FIRST_PORT + number, FIRST_PORT) for number in range(1, nodes)]
    end = time.perf_counter() + JOIN_SECONDS
    while min(node.contacts for node in everyone) < min(CONTACTS, nodes - 1):
        if time.perf_counter() > end:
            raise SystemExit(f"libtorrent: not every node knew {CONTACTS} others within {JOIN_SECONDS:g} s")
        time.sleep(0.05)
    return everyone


def overlay(nodes: str, values: str) -> None:
    build = Build(int(nodes))
    everyone = joined(int(nodes))
    build.done()
    time.sleep(SETTLE_SECONDS)
    asker = everyone[-1]
    asker.watch(packets=True)

    def copies(key: str) -> int:
        return max(node.copies.get(key, 0) for node in everyone)

    measure_overlay(PEER, everyone, build, int(values), copies, before_gets=lambda: asker.watch(packets=False))


def largest() -> None:
    everyone = joined(16)
    time.sleep(SETTLE_SECONDS)
    everyone[-1].watch(packets=True)
    measure_largest(PEER, everyone[:2] + everyone[-1:], Largest(), lambda size: bytes(size))


def node(port: str, door: str | None = None) -> None:
    one = Node(int(port), int(door) if door else None, watched=True)
    end = time.perf_counter() + JOIN_SECONDS
    while door and not one.bootstrapped:
        if time.perf_counter() > end:
            raise SystemExit(f"libtorrent: no answer of its bootstrap within {JOIN_SECONDS:g} s")
        time.sleep(0.05)
    serve_lines(one)


def about() -> None:
    say(PEER | {"does_not": DOES_NOT, "measured": MEASURED, "cannot": CANNOT})


main({"overlay": overlay, "largest": largest, "node": node, "about": about})
