"""An export from its beginning to its end."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from mailplat.store.export import formats
from mailplat.store.export.files import Files
from mailplat.store.export.tree import open_tree
from mailplat.store.export.types import ExportReport, Note, Owner
from mailplat.store.shard import Shard

FORMAT = 1


def export(
    shard: Shard, folder: Path, name: str, owners: Iterable[Owner], *, link: bool = True
) -> ExportReport:
    """The accounts of these owners into `folder`, in the format called `name`, while the shard is in use. `link`
    False: no hard links, the export shares nothing with the shard. Raises InvalidInput for an unknown format and a
    folder that is not empty; Unavailable, DiskFull: then the folder stays, marked as incomplete."""
    report = ExportReport()
    make = formats.find(name)
    with open_tree(folder, shard.path) as tree:
        files = Files(shard.site, tree, report, link=link)
        layout = make(tree, files, report)
        for owner in owners:
            picture = files.gather(owner)
            if picture is None:
                report.gone += 1
            else:
                if owner.remark:
                    report.remarks.append(Note("directory", owner.name, "", owner.remark))
                report.entries.append(layout.account(owner, picture))
                report.accounts += 1
            files.drop()
        layout.finish()
        moment = datetime.fromtimestamp(shard.site.clock.now(), UTC)
        tree.finish(_manifest(shard.name, name, f"{moment:%Y-%m-%dT%H:%M:%SZ}", report))
    return report


def _manifest(shard: str, name: str, moment: str, report: ExportReport) -> dict[str, object]:
    return {
        "version": FORMAT,
        "format": name,
        "shard": shard,
        "finished": moment,
        "totals": {
            key: getattr(report, key)
            for key in ("accounts", "mailboxes", "messages", "octets", "linked", "copied", "gone")
        },
        "needs": report.needs,
        "problems": [note._asdict() for note in report.problems],
        "remarks": [note._asdict() for note in report.remarks],
        "accounts": report.entries,
    }
