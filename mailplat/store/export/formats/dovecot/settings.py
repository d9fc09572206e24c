r"""dovecot.conf.example: settings of Dovecot 2.3 under which the tree is served as we served it."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mailplat.store.export.formats.dovecot.logins import DEFAULT_CHARACTERS
from mailplat.store.export.types import Note

# What the tree rests on; the rest of the file is a proposal.
NEEDS = (
    "mail_plugins = listescape (mailboxes with a dot in their name)",
    "namespace separator = / with an empty prefix (names as clients know them)",
    "pop3_uidl_format = %v.%u (UIDLs as POP3 clients know them)",
)

# RFC 6154 6, use-attr.
_USE = re.compile(r"\\[A-Za-z]+", re.ASCII)

_TEXT = """\
# Settings of Dovecot 2.3 for this tree, to be put into a configuration that has protocols, listeners and TLS.
# Every line that says NEEDED keeps clients from downloading everything again, or from losing sight of mailboxes.

mail_location = maildir:~
mail_home = {path}/%d/%n
{owner}
# NEEDED where a mailbox has a dot in its name: such a dot is \\2e on disk.
mail_plugins = $mail_plugins listescape
plugin {{
  listescape_char = "\\\\"
}}

# NEEDED: the separator and the names that clients know.
namespace inbox {{
  inbox = yes
  separator = /
  prefix =
{special_use}}}

# NEEDED: the UIDLs of messages that came to us first. Those that an older platform gave are in dovecot-uidlist.
pop3_uidl_format = %v.%u
# As we did: reading over POP3 does not mark as read, one session at a time.
pop3_no_flag_updates = yes
pop3_lock_session = yes

# Names and hashes. Dovecot's auth process must be able to read the file, and runs as a user of its own:
#   install -o dovecot -m 600 {path}/passwd /etc/dovecot/passwd
# and write that path here.
auth_username_format = %Lu
{characters}passdb {{
  driver = passwd-file
  args = username_format=%u {path}/passwd
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {path}/passwd
}}

# Quotas are in passwd. To have them kept, add quota (and imap_quota for imap) to mail_plugins and
#   plugin {{
#     quota = count:User quota
#     quota_vsizes = yes
#   }}
"""

_ROOT = """\
# The files belong to root, as whom Dovecot serves nobody. Export with --copy, then `chown -R vmail:vmail` the tree:
# a hard link has one owner with the platform's own file.
#mail_uid = vmail
#mail_gid = vmail
"""


def text(path: Path, owner: tuple[int, int], uses: "SpecialUses", characters: set[str]) -> bytes:
    uid, gid = owner
    identity = _ROOT
    if uid:
        identity = f"mail_uid = {uid}\nmail_gid = {gid}\nfirst_valid_uid = {uid}\nfirst_valid_gid = {gid}\n"
    allowed = "".join(sorted(characters))
    more = f'auth_username_chars = "{DEFAULT_CHARACTERS}{allowed}"\n' if allowed else ""
    return _TEXT.format(path=path, owner=identity, special_use=uses.section(), characters=more).encode()


class SpecialUses:
    """Dovecot knows a special use by the mailbox's name, for all accounts alike; we by the mailbox. Where accounts
    differ, the use that most of them make of a name wins, and the others are remarks."""

    def __init__(self) -> None:
        self._uses: dict[str, Counter[str]] = {}
        self._accounts: list[tuple[str, dict[str, str]]] = []

    def add(self, account: str, uses: Mapping[str, str]) -> None:
        """Of every mailbox of the account: its name and its use, "" for none."""
        for name, use in uses.items():
            if _USE.fullmatch(use):
                self._uses.setdefault(name, Counter())[use] += 1
        self._accounts.append((account, dict(uses)))

    def chosen(self) -> dict[str, str]:
        return {
            name: max(sorted(counter), key=lambda use: counter[use])
            for name, counter in sorted(self._uses.items())
            if name.isprintable() and not set(name) & set('"\\$')  # no section of the file can be called so
        }

    def section(self) -> str:
        return "".join(
            f'  mailbox "{name}" {{\n    special_use = {use}\n  }}\n' for name, use in self.chosen().items()
        )

    def remarks(self) -> list[Note]:
        chosen = self.chosen()
        return [
            Note(
                "special-use", account, name, f"{use or 'none'}; the example says {chosen.get(name, 'none')}"
            )
            for account, uses in self._accounts
            for name, use in sorted(uses.items())
            if use != chosen.get(name, "")
        ]
