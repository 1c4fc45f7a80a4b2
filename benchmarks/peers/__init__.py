"""The drivers: one script for each peer, run by its own interpreter, all with the same verbs and JSON lines.

    about                        what it is, what it leaves out, which verbs it cannot do and why
    overlay NODES VALUES         an overlay in one process: built, filled, asked
    node PORT [BOOTSTRAP_PORT]   one node in a process of its own, driven by JSON lines on its standard input
    ping SECONDS                 round trips between two processes
    stream SECONDS SIZE          messages one to one between two processes
    largest                      the largest value that comes back whole

A driver listens and talks on 127.0.0.1 alone and imports nothing of kadnet, but kadnet's own. Nothing here is imported
by the harness: it reads what they print.
"""
