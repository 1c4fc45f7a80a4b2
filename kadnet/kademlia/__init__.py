"""The Kademlia floor: who is near whom, who is alive, how long to wait, how much to allow.

Pure: time comes in as `now`, chance as `rng`, and what should be done goes out as actions; nothing here touches a
clock, a socket or a task.
"""
