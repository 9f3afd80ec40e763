"""The file that a restart must not lose: written whole, read strictly, put aside when damaged."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm.daemon.memory import FILE, Keeper, load, save
from arm.model import Family, Prefix, mask, parse_prefix

ROWS = {
    Family.IPV4: [(parse_prefix("192.0.2.0/24"), 1234.5, 6.25, True), (parse_prefix("10.0.0.0/8"), 1.0, 1.0, False)],
    Family.IPV6: [(parse_prefix("2001:db8::/32"), 99.0, 3.0, True)],
}


def test_what_is_saved_is_loaded_in_its_order(tmp_path: Path) -> None:
    save(tmp_path, ROWS, 1_700_000_000_000)
    assert list(load(tmp_path)) == [*ROWS[Family.IPV4], *ROWS[Family.IPV6]]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 32)),
                st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 128)),
            ),
            st.integers(0, 10**12),
            st.integers(0, 10**6),
            st.booleans(),
        )
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_choice_survives_the_file(tmp_path: Path, rows: list[tuple[Prefix, int, int, bool]]) -> None:
    masked = [((mask(address, length), length), float(r), float(s), c) for (address, length), r, s, c in rows]
    memory = {
        Family.IPV4: [row for row in masked if len(row[0][0]) == 4],
        Family.IPV6: [row for row in masked if len(row[0][0]) == 16],
    }
    save(tmp_path, memory, 0)
    assert list(load(tmp_path)) == [*memory[Family.IPV4], *memory[Family.IPV6]]


def test_without_a_file_nothing_is_remembered(tmp_path: Path) -> None:
    assert list(load(tmp_path)) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "families": {}}',
        b'{"version": 1}',
        b'{"version": 1, "families": {"IPv4": [["10.0.0.0/33", 1, 1, 1]]}}',
        b'{"version": 1, "families": {"IPv4": [["2001:db8::/32", 1, 1, 1]]}}',
        b'{"version": 1, "families": {"IPv4": [["10.0.0.0/8", "many", 1, 1]]}}',
        b'{"version": 1, "families": {"IPv4": [["10.0.0.0/8", NaN, 1, 1]]}}',
        b'{"version": 1, "families": {"IPv4": [["10.0.0.0/8", 1]]}}',
        b'{"version": 1, "families": {"IPv4": 7}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_put_aside_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert list(load(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["choice.damaged"]
    assert (tmp_path / "choice.damaged").read_bytes() == content
    assert "damaged" in caplog.text


def test_a_save_that_fails_leaves_the_old_file_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, ROWS, 0)
    before = (tmp_path / FILE).read_bytes()
    keeper = Keeper(tmp_path / "missing", lambda: ROWS, lambda: 0)
    keeper.save(ROWS)
    keeper.save(ROWS)
    assert caplog.text.count("choice not saved") == 1
    assert (tmp_path / FILE).read_bytes() == before


def test_an_engine_that_knows_nothing_yet_does_not_overwrite_what_is_known(tmp_path: Path) -> None:
    save(tmp_path, ROWS, 0)
    Keeper(tmp_path, dict, lambda: 0).save({Family.IPV4: [], Family.IPV6: []})
    assert len(list(load(tmp_path))) == 3


def test_the_keeper_saves_at_its_interval_and_rides_out_a_busy_engine(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)
    calls = 0

    def recall() -> dict[Family, list[tuple[Prefix, float, float, bool]]]:
        nonlocal calls
        calls += 1
        asked.release()
        if calls == 1:
            raise TimeoutError("busy")
        return ROWS

    keeper = Keeper(tmp_path, recall, lambda: 5, interval=0.01)
    keeper.start()
    for _ in range(3):
        assert asked.acquire(timeout=10)
    keeper.stop()
    assert json.loads((tmp_path / FILE).read_text())["saved_ms"] == 5
