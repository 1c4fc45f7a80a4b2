"""`kadnet sim`: lookups among thousands of simulated nodes, beside textbook Kademlia, as a table and as a picture.

`command` is the whole; `options` and `memory` say no before any work; `runs` does one simulation after the other,
`workers` and `worker` several at once in processes of their own; `screen` shows how far it is; `table`, `plot` and
`style` show what came of it. The simulation itself is `kadnet.lab.model`.
"""
