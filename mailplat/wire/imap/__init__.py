r"""IMAP without I/O: octets to commands, arguments to values, values to replies.

RFC 3501, and of RFC 9051 what both allow; RFC 7162 (CONDSTORE, QRESYNC), 5464 (METADATA), 6855 (UTF8=ACCEPT), 8508
(REPLACE, as framing), 9208 (QUOTA), 9586 (UIDONLY), 5258, 5819, 6154 (LIST), 4731, 5182, 7377, 9394 (ESEARCH), 5256
(SORT, THREAD), 7888 (LITERAL+), 4315 (UIDPLUS), 6851 (MOVE), 2177 (IDLE), 4959 (SASL-IR), 3502 (MULTIAPPEND, as
framing).

Layout of this room
    events.py      Command, Continue, Append, LiteralChunk, AppendEnd, Line, Refused
    framer.py      octets -> events; literals, continuation lines, limits, what to swallow
    arguments.py   `Arguments`, a cursor over one command: astring(), mailbox(), flags(), sequence_set(), ...
    sequence.py    `SequenceSet`, `compact([1, 2, 3, 9]) == b"1:3,9"`, `ranges([1, 2, 3, 9]) == [(1, 3), (9, 9)]`
    mutf7.py       `encode(str) -> bytes`, `decode(bytes) -> str` (strict; raises BadSyntax)
    fetch.py       parse_fetch -> FetchProgram
    search.py      parse_query -> Query: keys     esearch.py   RETURN (...) -> Returns, ESEARCH lines
    sorting.py     parse_sort -> SortProgram, parse_thread, sort_line
    multisearch.py parse_sources -> Source: the mailboxes of ESEARCH
    threads.py     THREAD: `by_subject`, `by_references` -> Forest, thread_line
    listing.py     parse_list, parse_lsub -> ListProgram, Matcher
    storing.py     parse_store, parse_append, parse_replace, parse_select, parse_status, parse_copy
    metadata.py    parse_get, parse_set
    response.py    FETCH, LIST, STATUS, SEARCH, ESEARCH lines, response codes, tagged replies
    spelling.py    mailbox names as an account's clients write them: UTF-8 or not, levels by "/" or "."
    strings.py     quoted strings and literals   errors.py  BadSyntax, BadCharset

The way of one command through the session that uses this room
    framer = Framer(Limits())                  # framer.limits may be replaced, e.g. after login
    framer.feed(octets)                        # whatever the socket gave; then pull until None:
    while (event := framer.next()) is not None:
        match event:
            case Command():                    # tag: str, name: str ("NOOP", "UID FETCH", upper case)
                arguments = event.arguments(Spelling())   # how this client spells mailbox names; see Arguments
                program = parse_fetch(arguments)          # or arguments.space(); arguments.mailbox(); arguments.end()
            case Continue():                   # write `+ OK\r\n` now: the client waits to send a literal
            case Append():                     # one APPEND message is about to come: tag, size, arguments(), index
                framer.accept()                # -> `event.synchronising`: write `+ OK\r\n`; then LiteralChunk...
                framer.refuse()                # ... or: not wanted. You write the tagged NO/BAD yourself, once. The
                                               # framer swallows what the client sends without being asked
            case LiteralChunk():               # octets: bytes, of the message accepted last
            case AppendEnd():                  # the command is complete: store and answer. (After refuse: no event.)
            case Line():                       # octets without line end: the line that framer.expect_line(tag) asked
                                               # for: a SASL response, IDLE's DONE. Ask before the next next().
            case Refused():                    # framing error, already resynchronised: write event.reply as it
                                               # stands; drop any APPEND body in progress; if event.fatal close then
    Between two next() calls the session may run the command to its end: octets of later (pipelined) commands stay
    in the framer. `framer.buffered` tells how many; a session reads from its socket only when next() gave None.

Parsers
    Every parse_X(arguments) eats the whole rest of the command, including the space after the name, and raises
    `BadSyntax` (an InvalidInput; its text may go to the client: `TAG BAD text`). parse_query may raise
    `BadCharset`: `TAG NO [BADCHARSET (US-ASCII UTF-8)] text`.
    Arguments: at_end, space(), end(), peek(), atom(), astring(), string(), nstring() (bytes); mailbox(), pattern()
    (Unicode str, mUTF-7 decoded, INBOX in upper case); number(), number64(), flags() (tuple of str, in brackets),
    date() (ordinal day), date_time() -> (unix seconds, zone minutes), sequence_set(), keyword("A", "B") -> str,
    items(parse_one) -> list of a parenthesised list.

    FetchProgram   numbers: SequenceSet; items: tuple[Item | Section, ...]; changed_since: int | None; vanished: bool;
                   sets_seen: bool. Item is an enum (FLAGS UID INTERNALDATE SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ),
                   Section has path, text (enum Text: ALL HEADER FIELDS FIELDS_NOT TEXT MIME), fields, offset, length
                   (None: to the end), peek, label (what the reply calls it). wire.mime.sections finds its octets.
    Query          key: Key; modseq: bool. parse_returns(arguments) -> Returns | None comes before it.
                   Key = All | And(keys) | Or(keys) | Not(key) | Numbers(numbers) | UidSet(numbers) | Uids(ranges) |
                   Flag(name, present) | Recent() | Header(field, text) | Text(text) | Body(text) |
                   Dated(sent, compare "before" | "on" | "since", day ordinal) | Saved(compare, day) |
                   Within(older, seconds) | Size(larger, octets) | ModSeq(value)
                   `bind(key, uids, saved)` turns Numbers and UidSet into Uids(((low, high), ...)) against a view's
                   sorted UIDs: the store only ever sees Uids.
    SequenceSet    ranges (0 stands for *), saved ("$"); uids(view_uids) -> UIDs of the view that it names;
                   numbers(count) -> merged [(low, high)] of sequence numbers, BadSyntax beyond count.
    ListProgram    reference, patterns, selects, returns, status: tuple[str, ...], extended: bool;
                   Matcher(reference, patterns).matches(name)
    StoreProgram   numbers, mode "set" | "add" | "remove", flags, silent, unchanged_since: int | None
    AppendProgram  mailbox, flags, internaldate: float | None, zone: int (minutes)

Replies, all bytes, complete with CRLF where they are lines
    strings.py: string, nstring, astring, literal.  response.py: mailbox(name, spelling), flag_list(flags),
    internal_date(seconds, zone), tagged(tag, "OK", text, code), untagged(b"12 EXISTS"), fetch_line(number,
    [(label, value)]), flags_lines(...) for many messages at once, list_line, status_line, search_line,
    appenduid, copyuid (codes).

Invariants: an event depends on the octets only, never on how they were cut into feeds; memory per connection is
bounded by Limits; every parser is linear in its input; recursion is bounded by a named depth.
What must never happen: octets of a refused literal read as commands; an exception other than BadSyntax or BadCharset
from a parser; a reply that holds CR, LF or NUL outside a literal.
"""
