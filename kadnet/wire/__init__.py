"""What kadnet says on the wire, as pure codecs: packets, messages, records and the kinds of records.

Nothing here opens a socket, reads a clock or draws a random number: nonces, ids, keys and times come in as arguments,
so every byte can be checked against `tests/vectors/`. Every decoding error is one `Malformed(reason)`.
"""
