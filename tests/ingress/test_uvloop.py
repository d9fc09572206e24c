"""What depends on the event loop's own transports, again on uvloop: `mailplat serve` runs on it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop

from tests.ingress import test_connection as connection
from tests.ingress import test_smuggling as smuggling
from tests.ingress.house import House


def run(folder: Path, scenario: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        house = House(folder)
        try:
            await scenario(house)
        finally:
            await house.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    "scenario",
    [
        partial(smuggling.test_a_second_message_is_never_found_in_the_first, cut=True),
        partial(connection.test_a_silent_client_gets_421, said=connection.TO_DATA[:3]),
        connection.test_silence_in_data_gets_421_and_keeps_nothing,
        connection.test_a_client_that_reads_no_replies_is_cut_off,
        connection.test_a_client_that_half_closes_still_gets_its_replies,
        partial(
            connection.test_a_client_that_vanishes_after_the_final_dot_has_its_message_stored, reset=True
        ),
        connection.test_draining_ends_idle_sessions_and_finishes_messages,
        connection.test_the_cap_on_connections,
    ],
)
def test_on_uvloop(tmp_path: Path, scenario: Callable[[House], Awaitable[None]]) -> None:
    run(tmp_path, scenario)


@pytest.mark.parametrize("injected", smuggling.INJECTED)
def test_injection_on_uvloop(
    tmp_path: Path, tls: ssl.SSLContext, trust: ssl.SSLContext, injected: bytes
) -> None:
    scenario = smuggling.test_octets_in_clear_behind_starttls_are_dropped
    run(tmp_path, lambda house: scenario(house, tls, trust, injected))


def test_starttls_on_uvloop(tmp_path: Path, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    run(tmp_path, lambda house: smuggling.test_starttls_forgets_what_was_said_before(house, tls, trust))


def test_implicit_tls_on_uvloop(tmp_path: Path, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    run(tmp_path, lambda house: smuggling.test_tls_from_the_first_octet(house, tls, trust))
