"""Who a node is and where it is: keys, node IDs, addresses, and text that is safe to show.

The lowest floor, and a pure one: no clock, no randomness, no socket, no file. Everything here is a function of its
arguments, so seeds come in as bytes (`datadir` keeps them, the runtime draws them). Of PyNaCl only the bindings and
the exceptions they raise are used.
"""
