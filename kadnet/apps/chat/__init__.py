"""Chat: a message to a node ID, shown once, and a receipt signed by whoever has it on their disk.

`Chat` is the face of this app. A message lies in the sender's outbox before it is tried and in the receiver's inbox
before it is acknowledged, so nothing that was promised depends on a process that may be killed. The parts: `protocol`
(bytes), `courier` (when to try whom again), `mailbox` and `book` (what is on the disk), `delivery` (carries messages).

Left out: showing. Text is kept exactly as it was sent, and made safe for a terminal where it is shown.
"""

from __future__ import annotations

from kadnet.apps.chat.book import Book, BookEntry
from kadnet.apps.chat.chat import Chat
from kadnet.apps.chat.inbox import Inbox
from kadnet.apps.chat.mailbox import Counts, Message, Outgoing, Receipt
from kadnet.apps.chat.settings import ChatSettings

__all__ = ["Book", "BookEntry", "Chat", "ChatSettings", "Counts", "Inbox", "Message", "Outgoing", "Receipt"]
