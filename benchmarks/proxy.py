"""The delaying and counting proxy, in a process of its own: it must not wait for anybody."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_nbforge.testing.proxy import CountingProxy


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through: requests by operation, bytes of bodies both ways."""

    requests: dict[str, int]
    bytes_both_ways: int

    @property
    def total(self) -> int:
        """How many requests."""
        return sum(self.requests.values())


class ProxyService(CountingProxy):
    """A service for `Child`."""

    async def address(self) -> str:
        """The endpoint that clients of the store are given."""
        return self.endpoint_url

    async def set_delay(self, seconds: float) -> None:
        """Put so long before each request from now on."""
        self.delay = seconds

    async def traffic(self) -> Traffic:
        """What has gone through since the last call."""
        moved, self.bytes_up, self.bytes_down = self.bytes_up + self.bytes_down, 0, 0
        return Traffic(dict(self.take()), moved)
