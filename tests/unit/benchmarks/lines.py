"""Lines as the scripts print them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

Line = dict[str, Any]


def machine(*, loopback_only: bool = True) -> Line:
    figures = {"cpus": 2, "memory_gib": 24, "system": "Linux x86_64", "python": "3.11.7", "repeats": 2}
    return {"row": "machine", "date": "2026-11-21", "loopback_only": loopback_only, **figures}


def about(peer: str, *does_not: str, **cannot: str) -> Line:
    return {"row": "about", "peer": peer, "version": "1.0", "does_not": list(does_not), "cannot": cannot}


def ping(peer: str, repeat: int, per_s: float) -> Line:
    return {"row": "ping", "peer": peer, "repeat": repeat, "per_s": per_s, "in_flight": 32}


def failed(row: str, peer: str, repeat: int, error: str) -> Line:
    return {"row": row, "peer": peer, "repeat": repeat, "error": error}


def overlay(peer: str, repeat: int, *, build: float = 1.0, get: float = 1.0, right: int = 600) -> Line:
    flight = [{"gets_per_s": 100.0, "cpu_ms_per_get": get, "slowest_ms": 9.0, "asked": 600, "right": right}] * 3
    latencies = {"put_ms": [1.0, 2.0], "get_ms": [get, 2 * get], "copies": 16}
    row = {"row": "overlay-32", "peer": peer, "repeat": repeat, "nodes": 32}
    return {**row, "build_s": build, "kib_per_node": 500.0, "flight": flight, **latencies}
