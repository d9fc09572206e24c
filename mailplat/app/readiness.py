"""What `/readyz` asks: can every door do its work? Each check raises with the reason when it cannot."""

import os
import shutil
from collections.abc import Mapping

from mailplat.admin import Check
from mailplat.app.wiring import Platform
from mailplat.core.errors import Unavailable
from mailplat.directory.watch import RouteWatch

# A disk with less than this is as good as full: mail in flight and the index's log still need room.
LEAST_FREE = 64 * 1024 * 1024


def checks(platform: Platform, watch: RouteWatch) -> Mapping[str, Check]:
    """By name: database, routes, and one for each shard."""

    async def database() -> None:
        await platform.executors.run("directory", platform.directory.accounts_by_home)

    async def routes() -> None:
        if not watch.healthy:
            raise Unavailable("changes of routes cannot be followed; forwarded accounts are refused")

    def shard(name: str) -> Check:
        path = platform.shards[name].path

        def look() -> None:
            platform.store.shard(name).site.seal.check()
            if not os.access(path, os.W_OK):
                raise Unavailable(f"{path} cannot be written")
            if shutil.disk_usage(path).free < LEAST_FREE:
                raise Unavailable(f"{path}: less than {LEAST_FREE >> 20} MiB free")

        async def check() -> None:
            await platform.executors.ask(f"store/{name}", look)

        return check

    shards = {f"shard {name}": shard(name) for name in platform.shards}
    return {"database": database, "routes": routes, **shards}
