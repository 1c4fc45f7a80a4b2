"""The client: the verbs of a running node for programs and for the command line, over its control socket.

Synchronous, on `http.client` alone: no trio, no HTTP framework, so that a short command is mostly the start of Python.
It raises the errors of `kadnet.errors` as the node raised them.
"""

from kadnet.client.client import Client, ClientSettings, Follow

__all__ = ["Client", "ClientSettings", "Follow"]
