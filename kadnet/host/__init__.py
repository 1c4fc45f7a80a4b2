"""The host: one node without apps, and the seam that apps are written against."""

from kadnet.host.opening import HostSettings, open_host
from kadnet.host.seam import App, Host

__all__ = ["App", "Host", "HostSettings", "open_host"]
