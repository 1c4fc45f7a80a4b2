"""The data directory: its layout, its lock, the identity file, and where the control socket lies.

One process at a time holds it. Nothing here reads a database or the configuration, opens a socket or draws a random
number; and it is cheap to import, since every command line begins here.
"""

from kadnet.datadir.control_path import control_path
from kadnet.datadir.identity_file import create_identity, load_identity, read_public_id
from kadnet.datadir.layout import DataDir, default_data_dir, open_datadir
from kadnet.datadir.lock import named_holder

__all__ = [
    "DataDir",
    "control_path",
    "create_identity",
    "default_data_dir",
    "load_identity",
    "named_holder",
    "open_datadir",
    "read_public_id",
]
