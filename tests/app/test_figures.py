"""What shards hold: `mailplat shard usage` and /metrics."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailplat.admin import metrics
from mailplat.app.figures import watch_figures
from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.quota import NO_QUOTA
from mailplat.core.route import Residence
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig
from tests.store.conftest import letter, new
from tests.until import until

OCTETS = letter()
SIZE = len(OCTETS)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Three accounts that share a message; one of them has expunged it."""
    rig = Rig(tmp_path / "platform")
    rig.call("domain", "add", "example.test")
    addresses = [f"{name}@example.test" for name in ("ann", "bob", "eve")]
    for address in addresses:
        rig.call("account", "add", address, "--password-stdin", "--home", "shard:s1", stdin="secret\n")
    platform = Platform(load(rig.config))
    accounts = [platform.directory.account(parse_address(address)) for address in addresses]
    homes = [Residence(account.id, "s1", 1) for account in accounts]
    shard = platform.store.shard("s1")
    for home in homes:
        shard.grant(home.account_id, 1)
    asyncio.run(platform.store.deliver([(home, "INBOX", NO_QUOTA) for home in homes], new(OCTETS)))
    shard.expunge_uids(homes[0], shard.mailbox(homes[0], "INBOX").id, None)
    platform.close()
    yield rig
    rig.stop()


def test_usage(rig: Rig) -> None:
    (row,) = json.loads(rig.call("shard", "usage", "s1", "--json"))
    assert row["index_octets"] > 0
    assert row["free"] > 0
    assert {name: row[name] for name in ("shard", "accounts", "messages", "octets", "counted")} == {
        "shard": "s1",
        "accounts": 3,
        "messages": 2,
        "octets": 2 * SIZE,
        "counted": True,
    }
    assert (row["once"], row["saved"]) == (SIZE, 2 * SIZE)
    assert (row["vault_messages"], row["vault_octets"]) == (1, SIZE)
    assert "VAULT OCTETS" in rig.call("shard", "usage")
    with pytest.raises(RuntimeError, match="no shard is called"):
        rig.call("shard", "usage", "s9")


def shown() -> dict[str, dict[str, float]]:
    return {
        family.name: {sample.labels["shard"]: sample.value for sample in family.samples}
        for family in text_string_to_metric_families(metrics.exposition().decode())
        if family.name.startswith("mailplat_shard_")
    }


async def test_metrics(rig: Rig) -> None:
    platform = Platform(load(rig.config))
    watching = asyncio.create_task(watch_figures(platform, 0.01))
    try:
        await until(lambda: {"s1", "s2"} == shown().get("mailplat_shard_octets", {}).keys())
        found = shown()
        assert found["mailplat_shard_octets"] == {"s1": 2 * SIZE, "s2": 0}
        assert found["mailplat_shard_octets_once"] == {"s1": SIZE, "s2": 0}
        assert found["mailplat_shard_vault_octets"] == {"s1": SIZE, "s2": 0}
        assert found["mailplat_shard_messages"] == {"s1": 2, "s2": 0}
        assert found["mailplat_shard_free_octets"]["s1"] > 0
        path = platform.shards["s1"].path
        path.rename(path.with_name("away"))
        await until(lambda: "s1" not in shown()["mailplat_shard_octets"])
        assert not path.exists()
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        platform.close()
    assert shown() == {}
