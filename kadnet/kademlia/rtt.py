"""How long to wait for an answer: RFC 6298's estimator for each contact, and one for the whole node.

Most contacts of a lookup are asked for the first time, so what RFC 6298 says about the second sample matters less here
than what to believe before the first. Two things of the node stand in for what is not known of the contact:
- before its first sample a contact gets the node-wide estimate, whose variance covers how different peers are;
- at its first sample a contact borrows the deviation that is typical *within* a peer. RFC 6298 takes half the sample,
  which for a peer 200 ms away means waiting 600 ms for something that varies by a few.

Left out: exponential backoff (a lookup asks somebody else instead) and Karn's rule (answers carry the id of their
request, so a retransmission is never mistaken for the first transmission).
"""

from __future__ import annotations

from dataclasses import dataclass

ALPHA = 1 / 8  # RFC 6298 (2.3)
BETA = 1 / 4
WITHIN_WEIGHT = 1 / 32  # the running mean of deviations remembers about the last 32


@dataclass(frozen=True, slots=True)
class RtoSettings:
    """Bounds of a timeout, in seconds. `second`: usual round trips for an answer to a retransmission, at most."""

    initial: float = 0.5  # before any sample: geth's respTimeout for discv4
    floor: float = 0.1  # an event loop under load is late by tens of milliseconds: below this we would fail the living
    ceiling: float = 2.0  # a peer slower than this is of no use in a lookup
    granularity: float = 0.01  # RFC 6298's clock granularity G: the least slack over srtt
    second: float = 1.5  # a complete set comes some 7 % sooner than with 2 (docs/decisions/0024)


class RttEstimate:
    """The round-trip time of one contact: smoothed time and deviation in seconds, None before the first sample."""

    __slots__ = ("rttvar", "samples", "srtt")

    def __init__(self) -> None:
        self.srtt: float | None = None
        self.rttvar: float | None = None
        self.samples = 0

    def update(self, sample: float, first_deviation: float | None = None) -> None:
        """Takes one sample in seconds. `first_deviation` replaces R/2 at the first sample where it is smaller."""
        self.samples += 1
        if self.srtt is None or self.rttvar is None:
            self.srtt = sample
            self.rttvar = sample / 2 if first_deviation is None else min(sample / 2, first_deviation)
        else:  # the deviation first, against the old srtt: RFC 6298 (2.3) demands this order
            self.rttvar += BETA * (abs(sample - self.srtt) - self.rttvar)
            self.srtt += ALPHA * (sample - self.srtt)


class NodeRtt:
    """What one node knows of round-trip times: all samples together, and how steady a single peer is."""

    __slots__ = ("_settings", "_within_samples", "overall", "within")

    def __init__(self, settings: RtoSettings | None = None) -> None:
        self._settings = settings if settings is not None else RtoSettings()
        self.overall = RttEstimate()
        self.within: float | None = None  # typical |sample - srtt| of a peer, seconds
        self._within_samples = 0

    def observe(self, peer: RttEstimate, sample: float) -> None:
        """Takes a sample of `peer`, in seconds, into its own estimate and the node's."""
        srtt = peer.srtt
        if srtt is not None:
            deviation = abs(sample - srtt)
            self._within_samples += 1
            if self.within is None:
                self.within = deviation
            else:  # a plain mean at first, a moving one later
                self.within += max(1 / self._within_samples, WITHIN_WEIGHT) * (deviation - self.within)
        peer.update(sample, self.within)
        self.overall.update(sample)

    def timeout(self, peer: RttEstimate | None) -> float:
        """Seconds to wait for an answer of `peer` (None: one never measured), within floor and ceiling."""
        settings = self._settings
        if peer is None or peer.srtt is None:
            peer = self.overall
        if peer.srtt is None or peer.rttvar is None:
            return settings.initial
        wait = peer.srtt + max(settings.granularity, 4 * peer.rttvar)
        return min(max(wait, settings.floor), settings.ceiling)

    def second(self, peer: RttEstimate | None) -> float:
        """Seconds to wait once more, when the timeout of `peer` has run out and the request was sent again.

        A few of its usual round trips at most: what a timeout has beyond those is there because little is
        known of the peer, and has been waited for once (docs/decisions/0024).
        """
        settings = self._settings
        usual = peer.srtt if peer is not None and peer.srtt is not None else self.overall.srtt
        timeout = self.timeout(peer)
        return timeout if usual is None else min(timeout, max(settings.second * usual, settings.floor))
