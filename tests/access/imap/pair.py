"""An owner and a colleague, each with a client."""

from dataclasses import dataclass

from mailplat.core.route import Residence
from tests.access.imap.client import Client
from tests.access.imap.conftest import DOMAIN, Rig, message

TEAM = f"user/ann@{DOMAIN}/Team"


@dataclass
class Pair:
    """Ann has a mailbox Team with three messages, Bob is a colleague."""

    rig: Rig
    ann: Client
    bob: Client
    home: Residence  # Ann's

    async def grant(self, rights: str, who: str = f"bob@{DOMAIN}", mailbox: str = "Team") -> None:
        await self.ann.ok(f'SETACL {mailbox} {who} "{rights}"')

    def acl(self, mailbox: str = "Team") -> dict[str, str]:
        shard = self.rig.store.shard(self.home.shard)
        entries = shard.acl(self.home, shard.mailbox(self.home, mailbox).id)
        return {name: "".join(sorted(entry.rights)) for name, entry in entries.items()}


async def make_pair(rig: Rig, shard: str = "s1") -> Pair:
    """Bob lives in s1."""
    home = rig.add("ann", shard=shard)
    rig.add("bob")
    ann, bob = await rig.login(name="ann"), await rig.login(name="bob")
    await ann.ok("CREATE Team")
    await rig.deliver(message("one"), message("two"), message("three"), mailbox="Team", to=home)
    return Pair(rig, ann, bob, home)
