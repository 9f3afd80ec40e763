"""Who sends malformed UPDATEs, and what is wrong with them, stands in the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest
from polling import until
from scripted_peer import LEARN, Desk

from arm.bgp.messages import encode_update, path_attributes
from arm.model import FeedDown, RoutesLearned


def test_malformed_updates_are_told_by_peer_and_attribute_and_all_are_counted(
    desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    one = desk()
    with caplog.at_level(logging.WARNING, "arm.bgp.learner"):
        talk = one.established()
        raw = path_attributes(as_path=(65001,), next_hop=b"\xc0\x00\x02\x01", origin=9)
        for number in range(20):
            talk.send(*encode_update(raw, b"", [(bytes([10, number, 0, 0]), 16)]))
        one.wait(RoutesLearned)
        until(lambda: one.status().malformed == 20)
        talk.sock.close()
        one.wait(FeedDown)
        until(lambda: sum(map(int, re.findall(r"count=(\d+)", caplog.text))) == 20)
    assert f"session=reflector peer={LEARN.address}" in caplog.text
    assert "ORIGIN" in caplog.text
    assert sum(record.name == "arm.bgp.learner" for record in caplog.records) == 2, (
        "more than one within ten seconds are told together"
    )
