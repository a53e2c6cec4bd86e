"""Hangs of the service's processes while clients keep asking, and what is left of a service that is ended."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from service.bench.faults import FAULTS, Site, try_out
from service.bench.leftovers import leftover, wait_for_worker
from service.bench.paused_programs import Program
from service.bench.servers import free_address
from tests.servers.program.conftest import HANGS_AFTER

HANGS = [fault for fault in FAULTS if "SIGSTOP" in fault.name]


@pytest.mark.parametrize("fault", HANGS, ids=lambda fault: fault.name)
def test_a_process_that_hangs_is_replaced_and_no_request_is_lost(server, fault):
    row = asyncio.run(try_out(Site(server.process.pid, server.url, Path()), fault))
    assert (row["lost"], row["hung"], row["ready_told_the_truth"]) == (0, 0, True), row
    assert row["answered"] > 0
    assert row["sent"] == row["answered"] + row["refused"]
    if fault.down:
        assert row["not_ready_after"] > HANGS_AFTER - 2
        # A slow machine also refuses what it cannot answer in time.
        assert any("being restarted" in reason for reason in row["reasons"]), row["reasons"]
        assert all(row["reasons"]), row["reasons"]
    else:
        assert row["refused"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_of_a_service_that_is_ended_while_it_starts(environment, number):
    _, port = free_address()
    command = [sys.executable, "-m", "cli", "serve", "--port", str(port)]
    with Program("fgctl serve", command, environment | {"FGCTL_KV_CACHE_GIB": "1"}) as program:
        wait_for_worker(program)
        left = leftover(program, number)
    assert left["processes"] >= 3
    assert left["left"] == 0
