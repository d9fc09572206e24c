"""The text of messages, decoded and folded, kept together so that SEARCH need not open ten thousand files.

On disk, in the shard's folder
    fulltext.db     SQLite, WAL, synchronous=NORMAL, secure_delete: tables `origin`, `part` and `block` (file.py). It
                    is derived: it may be removed at any time, and no backup, export or move takes it along
    fulltext.lock   exclusive for the process that brings it forward; who searches takes no lock

What is kept of a mailbox is one of two parts, each of which begins with the first search that could have used it (or
with the mailbox, `[store] fulltext = "all"`)
    headings    SUBJECT, FROM, TO, CC, BCC: from the rows of `rendering`, of long fields from the file
    content     the message's own header (TEXT) and what BODY looks at: from the file
A block holds the text of many messages of a mailbox for one of these seven, up to BLOCK octets of UTF-8, and which
octets are whose. A search reads the blocks one after the other and looks for its octets in each: the bodies of 10,000
messages are 31 MB, some 25 ms. What matches is a substring of the folded text as wire/mime/text.py makes it, of any
length and of any characters: no words, no stemming, nothing that the search through the files would answer otherwise.
(An inverted index, FTS5 with trigrams, finds a rare word in 1 ms. But it takes 1.2 ms and 14 kB to put a message into
it, five and three times what this takes, and what is removed stays in its segments until they are merged.)

Files of this room
    texts.py     the text of one message       blocks.py    many of them, in one row
    file.py      where they are kept           keeping.py   one step of the work behind the index
    keeper.py    the thread that takes them    waiting.py   how far it is behind
    finding.py   what SEARCH asks              octets.py    looking for octets in many

Invariants
    * A UID's text never changes, and UID, UIDVALIDITY and mailbox number are never given to another message: what is
      found here is right whenever it was put here. What is there at all, the index says (index.db): a message that
      was expunged is not found, one that is not here yet is looked for in its file.
    * A row of `part` says: every message below `uidnext` that could be kept is, and of what was expunged up to
      `modseq` nothing is left. It changes in the transaction that changes the blocks. Which messages are kept, the
      blocks say; a search believes nothing else.
    * A message came in below UIDNEXT (`backfills`, of migrations): the part is made anew.
    * Where this room fails, a search goes through the files as if it were not there.

What is true after a crash (kill -9, power cut) behind each step; tests/store/fulltext/test_crash.py walks the table
    fulltext.create     an empty file, or one without tables: nobody reads it, the next round makes it anew
    fulltext.enrol      a part with nothing in it; without it, the next search asks for it again
    fulltext.texts      the texts are read, and nothing is kept of them: they are read again
    fulltext.commit     blocks and `part` say the same. A power cut may take back the last commits, whole: what they
                        did is done again, also removals, for `part` is as old as the blocks
    fulltext.trim       the octets of what was removed are gone from the file and from SQLite's log; a crash before
                        leaves them in the log until the next process's first round
    fulltext.unlink     some of the three files are gone; the rest is removed before a file is made again
    A file that SQLite cannot read, or of another version: it is removed, with a line in the log, and made anew.
    index.db was made anew (rebuild) or brought back (restore): rebuild removes this file, restore sets it aside. An
    older index that was put in its place by hand is one with a lower serial than `origin` says (identity.py): the
    file speaks of UIDs that may be given to other messages now, and is removed.

What must never happen: a message found that is not there, or missed because it is not here yet; an append or an
expunge that waits for this room; the text of a removed message in the file when a round has ended.
"""
