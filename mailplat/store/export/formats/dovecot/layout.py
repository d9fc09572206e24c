"""Accounts into the tree, one after the other; then what concerns them all."""

from pathlib import Path
from typing import Any

from mailplat.store.export.files import Files
from mailplat.store.export.formats.dovecot import logins, names, settings
from mailplat.store.export.formats.dovecot.maildir import Keywords, UidList, uid_set
from mailplat.store.export.picture import Folder, Picture
from mailplat.store.export.tree import Tree
from mailplat.store.export.types import ExportReport, Note, Owner
from mailplat.store.flagsets import SYSTEM_BITS
from mailplat.store.maildir import FOLDERS, MARKER


class Layout:
    def __init__(self, tree: Tree, files: Files, report: ExportReport) -> None:
        self._tree = tree
        self._files = files
        self._report = report
        self._logins: list[str] = []
        self._characters: set[str] = set()
        self._uses = settings.SpecialUses()

    def account(self, owner: Owner, picture: Picture) -> dict[str, Any]:
        path = names.account_path(owner.address, owner.account_id)
        place = self._tree.path / path
        renamed = self._name(owner, picture)
        self._tree.make(place)
        mailboxes = [
            self._mailbox(owner, folder, place, renamed.get(folder.row.name, folder.row.name))
            for folder in picture.folders
        ]
        self._subscriptions(picture, place, renamed)
        self._uidvalidity(picture, place)
        self._login(owner, path)
        self._uses.add(
            owner.name,
            {
                renamed.get(folder.row.name, folder.row.name): folder.row.special_use
                for folder in picture.folders
            },
        )
        return {
            "account": owner.name,
            "path": path,
            "quota": owner.quota,
            "messages": sum(each["messages"] for each in mailboxes),
            "octets": sum(each["octets"] for each in mailboxes),
            "mailboxes": mailboxes,
        }

    def finish(self) -> None:
        self._tree.write(self._tree.path / "passwd", "".join(self._logins).encode())
        text = settings.text(self._tree.path, self._tree.owner, self._uses, self._characters)
        self._tree.write(self._tree.path / "dovecot.conf.example", text)
        self._report.remarks += self._uses.remarks()
        self._report.needs += settings.NEEDS

    def _name(self, owner: Owner, picture: Picture) -> dict[str, str]:
        """Names that no folder can have, each with the one that stands for it."""
        taken = {names.mailbox_folder(folder.row.name) for folder in picture.folders}
        renamed: dict[str, str] = {}
        for folder in picture.folders:
            name = folder.row.name
            if len(names.mailbox_folder(name)) > names.MAX_FILE_NAME:
                renamed[name] = names.substitute(folder.row.id, taken)
                taken.add(names.mailbox_folder(renamed[name]))
                self._remark("name", owner, name, f"too long for a folder; it is {renamed[name]} here")
            elif "\\" in names.mailbox_folder(name):
                text = f"{names.mailbox_folder(name)} on disk; Dovecot needs the plugin listescape"
                self._remark("name", owner, name, text)
        return renamed

    def _mailbox(self, owner: Owner, folder: Folder, place: Path, name: str) -> dict[str, Any]:
        path = place / names.mailbox_folder(name)
        for each in FOLDERS:
            self._tree.make(path / each)
        if path != place:
            self._tree.write(path / MARKER, b"")
        keywords = Keywords.of(folder)
        self._remark_keywords(owner, folder, keywords)
        if keywords.names:
            self._tree.write(path / "dovecot-keywords", keywords.file())
        count, octets = self._messages(owner, folder, path, keywords)
        self._report.mailboxes += 1
        row = folder.row
        return {
            "name": row.name,
            "path": str(path.relative_to(self._tree.path)),
            "special_use": row.special_use,
            "uidvalidity": row.uidvalidity,
            "uidnext": row.uidnext,
            "highestmodseq": row.modseq,
            "messages": count,
            "octets": octets,
        }

    def _messages(self, owner: Owner, folder: Folder, path: Path, keywords: Keywords) -> tuple[int, int]:
        """(messages, octets) that there are; only these are in dovecot-uidlist."""
        uids = UidList(folder.row)
        information: dict[int, str] = {}
        octets = 0
        for message in folder.messages:
            held = self._files.held(folder.row, message)
            if held is None:
                continue
            if message.flagset not in information:
                information[message.flagset] = keywords.information(folder.book.mask(message.flagset))
            base = uids.add(message, held)
            target = path / "cur" / f"{base}:2,{information[message.flagset]}"
            self._files.move(folder.row, message, target)
            octets += held.size
        for uid in uids.without_uidl:
            self._remark("uidl", owner, folder.row.name, f"UID {uid}: what it has is none; it gets a new one")
        self._tree.write(path / "dovecot-uidlist", uids.file())
        return len(uids), octets

    def _remark_keywords(self, owner: Owner, folder: Folder, keywords: Keywords) -> None:
        for number in keywords.dropped:
            bit = 1 << (SYSTEM_BITS + number)
            uids = [each.uid for each in folder.messages if folder.book.mask(each.flagset) & bit]
            text = f"{folder.book.keywords[number]} is left out of {len(uids)} messages, UIDs {uid_set(uids)}"
            self._remark("keyword", owner, folder.row.name, text)

    def _subscriptions(self, picture: Picture, place: Path, renamed: dict[str, str]) -> None:
        subscribed = [renamed.get(name, name) for name in picture.subscriptions]
        if subscribed:
            self._tree.write(place / "subscriptions", names.subscriptions_file(subscribed))

    def _uidvalidity(self, picture: Picture, place: Path) -> None:
        """Dovecot counts on from here. Whoever raises it renames the empty file, so that only one does."""
        number = f"{picture.uidvalidity:08x}"
        self._tree.write(place / "dovecot-uidvalidity", number.encode("ascii"))
        self._tree.write(place / f"dovecot-uidvalidity.{number}", b"")

    def _login(self, owner: Owner, path: str) -> None:
        if owner.address is None:
            self._remark("directory", owner, "", f"the directory does not know it; its mail is in {path}")
            return
        name = owner.address.key
        trouble = logins.problem_of_name(name)
        if trouble:
            self._remark("login", owner, "", trouble)
        if ":" in name or "\n" in name:
            self._remark("login", owner, "", "passwd cannot name it")
            return
        if not trouble:
            self._characters |= set(name) - set(logins.DEFAULT_CHARACTERS)
        if not owner.password_hash:
            self._remark("password", owner, "", "none is known: nobody can log in before one is set")
        elif logins.scheme(owner.password_hash) not in logins.SCHEMES:
            self._remark("password", owner, "", f"Dovecot knows no {{{logins.scheme(owner.password_hash)}}}")
        if not owner.active:
            self._remark("login", owner, "", "deactivated: passwd says nologin")
        local, _, domain = name.rpartition("@")
        plain = path == f"{domain}/{local}"
        self._logins.append(logins.line(owner, "" if plain else str(self._tree.path / path)))

    def _remark(self, kind: str, owner: Owner, mailbox: str, text: str) -> None:
        self._report.remarks.append(Note(kind, owner.name, mailbox, text))
