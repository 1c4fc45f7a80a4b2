"""Links: encrypted TCP connections between node IDs, at most one for each pair, and messages over them."""

from kadnet.links.dial import Whereabouts
from kadnet.links.links import Linked, Links
from kadnet.links.services import OnNotice, OnRequest
from kadnet.links.settings import LinkSettings

__all__ = ["LinkSettings", "Linked", "Links", "OnNotice", "OnRequest", "Whereabouts"]
