"""AXI-Stream ports of a stand-alone block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.lib.wiring import In, Out

from hwgen.streams import Stream

__all__ = ["stream_ports"]


def stream_ports(streams: Sequence[Stream]) -> dict[str, Any]:
    """Members of a block with these streams: TDATA, TVALID, TREADY, and TLAST where the stream has it."""
    members: dict[str, Any] = {}
    for stream in streams:
        to, back = (In, Out) if stream.direction == "in" else (Out, In)
        members[f"{stream.prefix}_tdata"] = to(8 * stream.bytes)
        members[f"{stream.prefix}_tvalid"] = to(1)
        members[f"{stream.prefix}_tready"] = back(1)
        if stream.last:
            members[f"{stream.prefix}_tlast"] = to(1)
    return members
