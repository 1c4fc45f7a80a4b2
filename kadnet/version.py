"""The version of kadnet, written once: the package's metadata and `kadnet version` read it here."""

VERSION = "0.1.0"
