"""The daemon: a node as a process, and the control API on its Unix socket.

`verbs` turns what a node returns into shapes, `app` puts them on HTTP under /v1, `control` binds the socket and serves
it, `run` is the life of the process. Nothing here decides anything about the overlay.
"""
