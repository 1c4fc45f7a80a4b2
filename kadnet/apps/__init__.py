"""Apps: what people do with an overlay. Each is written against Host alone, as a user's own app would be.

An app has a name and a `run(host, *, task_status)`. Whatever it needs of the rooms below it asks the host for; whatever
one app would need beyond that, every app gets.
"""
