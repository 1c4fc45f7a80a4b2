"""What can be set about the overlay, in two parts.

`OverlaySettings` is the section [overlay] of config.toml: what an operator decides. `Tuning` gathers the bounds and
paces of every file of the room, each with its reason beside it there; the lab varies it with `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kadnet.kademlia.contact_cache import ContactCacheSettings
from kadnet.kademlia.lookup import LookupSettings
from kadnet.kademlia.network_size import NetworkSizeSettings
from kadnet.kademlia.rtt import RtoSettings
from kadnet.kademlia.spreading import SpreadSettings
from kadnet.kademlia.table import TableSettings
from kadnet.overlay.bootstrap import BootstrapSettings
from kadnet.overlay.calls import RpcSettings
from kadnet.overlay.peercache import PeerCacheSettings
from kadnet.overlay.peers import PeerSettings
from kadnet.overlay.store import StoreSettings
from kadnet.overlay.tokens import TokenSettings
from kadnet.overlay.upkeep import UpkeepSettings


@dataclass(frozen=True, slots=True)
class OverlaySettings:
    """Section [overlay].

    replicas      how many copies a record has: with how many of the closest nodes a put stores it
    reach         "auto": serve others (until reachability can be checked, that is always); "server": serve;
                  "client": ask only, keep nothing, stand in nobody's table
    network_key   64 hexadecimal digits: only nodes with the same key hear each other; empty for the public network
    store_mib     MiB of records held for others
    bootstrap     addresses to join through, beside those given on the command line
    """

    replicas: int = 16
    reach: Literal["auto", "server", "client"] = "auto"
    network_key: str = ""
    store_mib: int = 256
    bootstrap: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= 64:
            raise ValueError(f"replicas must be 1 to 64, not {self.replicas}")
        if not 1 <= self.store_mib <= 1_048_576:
            raise ValueError(f"store_mib must be 1 to 1048576, not {self.store_mib}")
        self.network()

    def network(self) -> bytes:
        """The network key: 32 bytes, all zero for the public network."""
        if not self.network_key:
            return bytes(32)
        try:
            key = bytes.fromhex(self.network_key)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ValueError("network_key must be 64 hexadecimal digits")
        return key

    @property
    def serves(self) -> bool:
        """Whether this node answers others and keeps records: yes, unless it was told to be a client."""
        return self.reach != "client"


@dataclass(frozen=True, slots=True)
class Tuning:
    """The bounds and paces of the room. `first_join`: seconds for which put and get wait for the first attempt to join.

    `page_wait`: seconds for which a get waits for further pages of a
    shared key that bring nothing new, once its walk is over; `page_limit`: for all of them, 64 pages at 300 ms each.
    `max_entries`: of one key that a get keeps, four times what one holder may have. `max_published`: records of our own
    kept and renewed. `max_tails`: puts under way or finishing behind the back of who asked for them, a dozen requests
    and some 10 KiB each; one more waits for all of its holders itself. `puts_at_once`: of all puts that walk at the
    same time, the others wait: hundreds of walks at once take each other's answers for losses. `join_pause`: seconds
    from the first contact to the first walk, in which the others of the list may answer too. `join_again`: seconds
    until that walk is tried again when nobody answered it; somebody who comes or is back sets it off at once.
    `get_quorum`: the share of the closest whose answers end a get while the rest are in doubt; it meets every put that
    a quarter of them acknowledged.
    """

    first_join: float = 10.0
    join_pause: float = 0.05
    join_again: float = 60.0
    get_quorum: float = 0.75
    page_wait: float = 2.0
    page_limit: float = 20.0
    max_entries: int = 256
    max_published: int = 100_000
    max_tails: int = 256
    puts_at_once: int = 64
    lookup: LookupSettings = field(default_factory=LookupSettings)
    table: TableSettings = field(default_factory=TableSettings)
    contact_cache: ContactCacheSettings = field(default_factory=ContactCacheSettings)
    network_size: NetworkSizeSettings = field(default_factory=NetworkSizeSettings)
    spread: SpreadSettings = field(default_factory=SpreadSettings)
    rto: RtoSettings = field(default_factory=RtoSettings)
    rpc: RpcSettings = field(default_factory=RpcSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    peers: PeerSettings = field(default_factory=PeerSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    peer_cache: PeerCacheSettings = field(default_factory=PeerCacheSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
