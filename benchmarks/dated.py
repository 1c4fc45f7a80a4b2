"""Figures of another run, for peers that cannot be installed where `make bench` runs.

Taken on 2026-11-21 on a machine with two processors and 24 GiB, Python 3.11.7 (OpenDHT: 3.11.2), Node.js 20.20.2, on
loopback, with other scripts than these. They do not divide anything of ours: they only say what to expect. Ranges are
of several runs.
"""

from __future__ import annotations

DATE = "2026-11-21"

DATED: dict[str, dict[str, str]] = {
    "kademlia": {
        "overlay-32 build": "0.12",
        "overlay-32 memory": "30",
        "overlay-32 put p50": "7.6",
        "overlay-32 get p50": "0.45",
        "overlay-32 get p95": "0.54",
        "overlay-32 rate": "2,168–2,298",
        "overlay-32 cpu": "0.46",
        "overlay-128 build": "0.76",
        "overlay-128 memory": "27",
        "overlay-128 put p50": "8.1",
        "overlay-128 get p50": "0.81",
        "overlay-128 get p95": "4.5",
        "overlay-128 rate": "2,109–2,214",
        "overlay-128 cpu": "1.44",
        "ping": "16,757–20,900",
        "largest": "8,100",
    },
    "libtorrent": {
        "overlay-32 build": "15–25",
        "overlay-32 memory": "1,148",
        "overlay-32 put p50": "0.47–0.64",
        "overlay-32 get p50": "0.17",
        "overlay-32 get p95": "0.26",
        "overlay-32 rate": "502–1,030",
        "overlay-32 cpu": "0.25",
        "overlay-128 build": "25",
        "overlay-128 memory": "1,024",
        "overlay-128 put p50": "0.79",
        "overlay-128 get p50": "0.26",
        "overlay-128 get p95": "0.52",
        "overlay-128 rate": "1,016",
        "overlay-128 cpu": "0.27",
        "largest": "990",
    },
    "pylibp2p": {
        "overlay-32 build": "22–24",
        "overlay-32 memory": "2,039",
        "overlay-32 put p50": "169–190",
        "overlay-32 get p50": "209–219",
        "overlay-32 get p95": "491",
        "overlay-32 rate": "4.1–4.6",
        "overlay-32 cpu": "233",
        "largest": "1,000,000",
    },
    "opendht": {
        "overlay-32 build": "5.0",
        "overlay-32 memory": "79",
        "overlay-32 put p50": "0.75–1.04",
        "overlay-32 get p50": "0.33–0.55",
        "overlay-32 rate": "907–1,225",
        "overlay-32 cpu": "1.3–2.0",
        "overlay-128 build": "5.1",
        "overlay-128 memory": "72",
        "overlay-128 put p50": "0.84–1.10",
        "overlay-128 get p50": "0.45–0.74",
        "overlay-128 rate": "890–1,409",
        "overlay-128 cpu": "1.4–2.1",
        "overlay-128 right": "67–100",
        "largest": "65,000",
    },
    "hyperdht": {
        "overlay-32 build": "0.11",
        "overlay-32 memory": "404–411",
        "overlay-32 put p50": "2.1",
        "overlay-32 get p50": "0.56",
        "overlay-32 get p95": "1.0",
        "overlay-32 rate": "45",
        "overlay-32 cpu": "0.75",
        "overlay-128 build": "0.65",
        "overlay-128 memory": "303",
        "overlay-128 put p50": "3.2",
        "overlay-128 get p50": "0.82",
        "overlay-128 get p95": "1.5",
        "overlay-128 rate": "45",
        "overlay-128 cpu": "1.14",
        "largest": "1,400",
    },
}
"""By peer and key of metric; in the unit of the metric."""
