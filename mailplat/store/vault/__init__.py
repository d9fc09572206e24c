"""The vault of a shard: what was expunged, deleted with its mailbox or removed with its account, for some days.

On disk, beside accounts/ (the same filesystem: a file comes here by one rename)
    vault/HH/ID/                     one account, spread as in accounts/
        mailplat-vault.json          its address, when it was removed, legal hold (owner.py)
        mNUMBER/                     what was in the mailbox with that number
            mailplat-mailbox.json    its name, and keywords by number: this folder's own numbers
            UNIQUE,S=,Z=,U=,K=,X=:2,FLAGS   one message; as in maildir.py, and X= is when (hex) and why (e, m, a)

Files of this room
    entry.py    rows, in the commit that takes the message's row away     place.py    files follow, behind the commit
    owner.py    addresses, legal holds                                    finding.py  search and totals
    restore.py  back into a mailbox                                       prune.py    the end of the days, purge
    recovery.py rows from files alone                                     folders.py  the end of empty folders
    carry.py    into another shard's vault

An expunge writes a row of `vault`; from and subject come out of `rendering`, so that no file is read. The upkeep
renames the files, each batch in one write transaction with an fsync of the folders before its commit. What a MOVE
takes away, and an account that moved to another home, does not come here; what such an account has in the vault
stays until its days are over, or until the shard is drained: then it is carried to where the account lives. The vault
does not count into the quota, but it does fill the disk: on a full one an expunge makes no room, `purge` does.

Invariants
    * A row with placed = 0 has its file in its mailbox's folder, or in the vault already; one with placed = 1 has it
      in the vault.
    * A mailbox's or an account's folder is removed only when no row with placed = 0 speaks of it.
    * Only files below vault/ are pruned, by rows that go in a transaction which has looked for a hold; the index and
      mailplat-vault.json can both say that there is one, and the index learns it from the file.
    * A folder is removed empty, under the write lock, and never with a file that no row speaks of.
    * The number of a mailbox that has something here is never given to another one, also after a rebuild.
    * What comes back is a new message by `Store.append`: a new UID, the old date, flags and keywords but \\Deleted.
    * Nothing in vault/ is ever a live message: neither verify nor rebuild look for messages here.

What is true after a crash behind each step; tests/store/test_crash.py walks the table
    index.commit (expunge)   rows with placed = 0: the next process moves their files
    vaultbox.write .. .dirsync   the folder's small file, old or new; keywords are only ever added to it
    vault.rename, .dirsync   a file in the vault whose row says placed = 0: the same name is found there again
    index.commit (place)     nothing is open
    owner.write .. .dirsync  a hold that only the file knows: nothing is pruned, and rebuild reads it
    append.commit (restore)  the message is back and in the vault too; the next restore finds its dedupe key
    carry.write, .fsync      a file in tmp/ there; the next attempt overwrites it
    carry.rename, .dirsync   a file in the vault there without a row, and the message still here; carried again.
                             Should the index there be made anew, the message is in its vault twice
    index.commit (carry)     the message is in both vaults; the next attempt finds it there and removes it here
    index.commit (prune)     `leaving` lists the file or the folder: the sweeper removes it. A folder only if it is
                             still out of use: mail, or a hold, may have come there since
    vault.rmdir              folder gone, `leaving` still lists it: once more, to no effect
A lost index forgets what was expunged in the two seconds before: as ever, such messages come back as live ones.

What must never happen: a file removed before its days are over, or under a hold; an old UID given to what comes
back; vaulted mail seen over IMAP or POP3; a live message that goes with the vault.
"""
