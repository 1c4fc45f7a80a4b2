"""The schema of chat.db: what was received, what is to be delivered, and the names of people.

chat.db cannot be rebuilt from anywhere, so it is opened as precious: each commit is on the disk before it is told, and
a damaged file is refused. `number` never repeats, not even one whose row is gone: readers of the inbox count on it.
Text is kept as the bytes of its UTF-8, which is what receipts sign.

Triggers keep the sums in a table of their own, so that bounds survive rollbacks and restarts and cost no counting:
`used` has a row ('inbox', sender) for each sender, ('inbox', '') for all of them, ('queued', '') and ('delivered', '')
for the outbox.
"""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT, sender BLOB NOT NULL, id BLOB NOT NULL, text BLOB NOT NULL,
        sent_at INTEGER NOT NULL, received_at INTEGER NOT NULL, size INTEGER NOT NULL, UNIQUE (sender, id)
    ) STRICT;
    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, recipient BLOB NOT NULL, address TEXT,
        text BLOB NOT NULL, sent_at INTEGER NOT NULL, size INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'delivered')),
        attempts INTEGER NOT NULL, problem TEXT, delivered_at INTEGER, receipt BLOB
    ) STRICT;
    CREATE INDEX outbox_queued ON outbox (number) WHERE state = 'queued';
    CREATE INDEX outbox_recipients ON outbox (recipient, number) WHERE state = 'queued';
    CREATE INDEX outbox_delivered ON outbox (delivered_at, number) WHERE state = 'delivered';
    CREATE TABLE contacts (
        name TEXT PRIMARY KEY NOT NULL, id BLOB NOT NULL, address TEXT, added_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX contacts_id ON contacts (id);
    CREATE TABLE used (
        what TEXT NOT NULL, who BLOB NOT NULL, items INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (what, who)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO used VALUES ('inbox', x'', 0, 0), ('queued', x'', 0, 0), ('delivered', x'', 0, 0);
    CREATE TRIGGER messages_in AFTER INSERT ON messages BEGIN
        UPDATE used SET items = items + 1, bytes = bytes + new.size WHERE what = 'inbox' AND who = x'';
        INSERT INTO used VALUES ('inbox', new.sender, 1, new.size)
            ON CONFLICT DO UPDATE SET items = items + 1, bytes = bytes + new.size;
    END;
    CREATE TRIGGER messages_out AFTER DELETE ON messages BEGIN
        UPDATE used SET items = items - 1, bytes = bytes - old.size WHERE what = 'inbox' AND who IN (x'', old.sender);
        DELETE FROM used WHERE what = 'inbox' AND who = old.sender AND items <= 0;
    END;
    CREATE TRIGGER outbox_in AFTER INSERT ON outbox BEGIN
        UPDATE used SET items = items + 1, bytes = bytes + new.size WHERE what = new.state AND who = x'';
    END;
    CREATE TRIGGER outbox_moved AFTER UPDATE OF state ON outbox BEGIN
        UPDATE used SET items = items - 1, bytes = bytes - old.size WHERE what = old.state AND who = x'';
        UPDATE used SET items = items + 1, bytes = bytes + new.size WHERE what = new.state AND who = x'';
    END;
    CREATE TRIGGER outbox_out AFTER DELETE ON outbox BEGIN
        UPDATE used SET items = items - 1, bytes = bytes - old.size WHERE what = old.state AND who = x'';
    END;
    """,
)
