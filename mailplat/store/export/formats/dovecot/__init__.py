r"""Maildir++ as Dovecot serves it, with the same UIDs (https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/).

    dovecot.conf.example    the settings under which Dovecot serves this tree as we served it (settings.py)
    passwd                  names, hashes, quotas for passdb and userdb passwd-file (logins.py)
    DOMAIN/LOCALPART/       one account (names.py), home and Maildir in one; account-ID/ where no address is known
        cur/ new/ tmp/      INBOX;  .A.B/ for mailbox A/B (names.py)
        dovecot-uidlist     in each mailbox: UIDVALIDITY, UIDNEXT, UIDs, UIDLs that another platform gave (maildir.py)
        dovecot-keywords    in each mailbox: names of the letters a to z
        dovecot-uidvalidity the highest UIDVALIDITY given: a mailbox that is made later gets a higher one
        subscriptions

What Dovecot rebuilds by itself: its indexes and caches, at the first login. What cannot be carried: HIGHESTMODSEQ and
what was expunged (clients with CONDSTORE read all flags once), keywords beyond 26 in one mailbox, time zones of
INTERNALDATEs.
"""

from mailplat.store.export.formats.dovecot.layout import Layout

__all__ = ["Layout"]
