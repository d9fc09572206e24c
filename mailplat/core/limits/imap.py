"""Every limit of an IMAP connection and of one IMAP command, with its reason."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one command may hold. Past any of these it is BAD, with a text that names the limit; octets are counted
    before that (ImapLimits). Settings: [imap.commands]."""

    # Flags in one list. A mailbox rarely has 50 keywords in use.
    flags: int = 200
    # Characters of a keyword as it is written. The longest in common use is "$HasNoAttachment".
    keyword: int = 128
    # Members of any other list in parentheses: items, header names, options.
    items: int = 500
    # Ranges in one sequence set. Clients that list every UID of a mailbox stay below a command line of 8 KiB.
    ranges: int = 10_000
    # Keys of one search. Clients that search many fields for many words stay below a hundred.
    search_keys: int = 500
    # NOT, OR and parentheses inside each other. Clients write OR chains that nest to the right, some 30 deep; each
    # level is a call inside a call here and in the index's SQL.
    search_nesting: int = limit(100, most=150)
    # Characters of one text that is searched for.
    search_text: int = 1_000
    # Ways to choose mailboxes in one ESEARCH. Every mailbox is searched once, however often it is named.
    search_sources: int = 20
    # Mailboxes that one of these ways names.
    search_names: int = 500
    # Groups of events in one NOTIFY. A client watches its selected mailbox, its inboxes and a few trees.
    notify_groups: int = 20
    # Events of one such group: all there are, and room for those of extensions that a client tries.
    notify_events: int = 50
    # Names of mailboxes in all groups together: each is compared with each mailbox at each look.
    notify_names: int = 500
    # Criteria of one SORT. There are nine, so more say nothing new; each costs a pass over the messages.
    sort_criteria: int = 20
    # Items of one FETCH. Clients ask for ten; parts of a large message one by one perhaps for a hundred.
    fetch_items: int = 200
    # BINARY sections of one FETCH that name the same part, and HEADER.FIELDS sections of one header. Each may decode
    # the part or go through the header anew, to give few octets of it.
    part_readings: int = 10
    # Levels of a part number. The MIME scanner looks no deeper than 100.
    part_levels: int = 128
    # Patterns of one LIST: each is matched with every mailbox.
    list_patterns: int = 100
    # Characters of one pattern: no mailbox's name is longer.
    pattern: int = 1_000
    # Octets of the name of a METADATA entry: as long as a file name.
    entry_name: int = 255
    # Entries that one GETMETADATA, SETMETADATA or LIST RETURN (METADATA ...) names.
    entries: int = 100
    # Strings in one ID: RFC 2971 3.3 allows 30 pairs.
    id_strings: int = limit(60, least=60)


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """Times in seconds, sizes in octets. Settings: [imap.limits]."""

    # One line of a command. RFC 7162 4 asks for 8192 at least; clients list thousands of UIDs.
    line: int = limit(64 * 1024, least=8192)
    # One literal in any command but APPEND and REPLACE: names, passwords, search texts, annotations.
    literal: int = limit(64 * 1024, least=1024)
    # All lines and literals of one command together, messages not counted: so much of it is held until it is whole.
    command: int = limit(256 * 1024, least=8192)
    # One line of who has not logged in: the longest access token, in base64, as RFC 4954 4 has it for SMTP.
    line_before_login: int = limit(12_288, least=1024)
    # One literal of who has not logged in, who may send names, passwords and little else.
    literal_before_login: int = limit(4096, least=1024)
    # One command of who has not logged in, its lines and literals together.
    command_before_login: int = limit(16_384, least=1024)
    # Octets of a refused command that are read and thrown away to stay in step (LITERAL+ sends them unasked); beyond
    # it `* BYE [TOOBIG]`. Never less than max_message_size.
    swallow: int = 256 * 1024 * 1024
    # RFC 3501 5.4: an inactivity timer must be at least 30 minutes. IDLE counts as inactivity (RFC 2177 3), its
    # clients start it anew every 29 minutes.
    autologout: float = limit(30 * 60.0, least=30 * 60.0)
    # Who has not logged in gets less, all waiting together: a scanner must not hold a connection for half an hour by
    # an octet a minute.
    preauth: float = 60.0
    # A client that takes nothing of what we write for this long is gone; its buffers are needed elsewhere.
    write_stall: float = 120.0
    # A TLS handshake after STARTTLS; also what implicit TLS gets from the listener.
    handshake: float = 30.0
    # A command that takes long says how far it is this often (RFC 9585 3): clients wait for a minute or more.
    progress: float = 10.0
    # IDLE says `* OK` this often, so that NAT tables keep the connection and dead peers are found.
    keepalive: float = 120.0
    # Hints are lossy: IDLE reads the changes at least this often without one.
    idle_poll: float = 60.0
    # A command that needs no store call looks for changes when the last look is older than this, hint or not.
    view_lease: float = 1.0
    # How long a session that must end (route moved, shutdown) may finish the command that runs.
    stop_grace: float = 5.0
    # RFC 7889: largest message that APPEND takes.
    message_size: int = limit(50_000_000, setting="imap.max_message_size")
    # Sessions of one process; beyond it: `* BYE [UNAVAILABLE]` instead of a greeting.
    connections: int = limit(20_000, setting="imap.max_connections")
    # Sessions of one account in one process: a runaway client must not starve the others.
    connections_per_account: int = 100
    # Failed logins on one connection before BYE; the throttle by address is the login service's.
    login_failures: int = 5
    # Commands that were not understood, in a row, before BYE: an HTTP client or a scanner is speaking.
    bad_commands: int = 20
    # Replies are joined to writes of about this size; beyond it we wait for the client to read.
    write_batch: int = 64 * 1024
    # What may stand in the socket's buffer before we wait: enough that the client is never starved while the next
    # batch is rendered.
    write_buffer: int = 256 * 1024
    # One read from the socket.
    read_size: int = 64 * 1024
    # Rows of the index that one hop to a thread renders: about 5 ms of work, so nobody waits long behind it.
    rows: int = 1000
    # Message octets held at once by one FETCH of many bodies, as often as sections of them are asked for.
    bodies: int = 1024 * 1024
    # A message larger than this is streamed from its file, or, where a MIME part is asked for, read alone; so is one
    # of which so many sections are asked for that the reply may have more than eight times this.
    large_message: int = 512 * 1024
    # Messages above large_message that may be held whole in memory at once, in one process.
    large_messages: int = 4
    # Pipelined APPENDs that are gathered into one commit.
    append_batch: int = 100
    # Octets of these APPENDs together: beyond it they are committed though more could be gathered.
    append_octets: int = 8 * 1024 * 1024
    # Messages that COPY or MOVE brings to another account in one commit: each is an open file meanwhile.
    foreign_copy: int = 100
    # COMPRESS (RFC 4978): octets that one compressed octet may become. Commands and mail deflate to a tenth; what is
    # more than this is a bomb, and ends the connection.
    inflate_ratio: int = 100
    # Octets beyond inflate_ratio in the life of a connection: for one message that is nothing but zeros.
    inflate_allowance: int = 64 * 1024 * 1024
    # Keywords of one mailbox that the FLAGS line of SELECT names: beyond, the line would be longer than clients read.
    keywords_shown: int = 200

    # Mailboxes that NOTIFY (RFC 5465) watches for one client: each is compared at each change of the account.
    notify_mailboxes: int = 1000
    # Lines of other mailboxes, or new messages of the selected one, that are told unasked at once: who was given a
    # whole archive should ask for it page by page.
    notify_burst: int = 1000
    # Seconds in which a session that is passed on to a backend must come to rest, and then as many again in which
    # its mailbox is taken down, when its account is fenced: a fence waits for all its account's sessions, and lasts
    # 30 s at most. What takes longer ends with BYE.
    carry_wait: float = 3.0
    # Messages of the selected mailbox that are taken down, to stay connected over a cutover: each is a line of some
    # 40 octets from the backend, and some 100 octets here until the fence is over. Larger ones end with BYE.
    carry_messages: int = 200_000
    # Messages that one command works on (RFC 9738); 0 for no limit. Nothing here needs one: replies are streamed,
    # long work is bounded by time, and a client that does not know the extension takes a part for all. For who must
    # bound what one command reads.
    message_limit: int = limit(0, least=1000, zero=True)
    # Messages that one COPY or APPEND saves, where there is no message_limit (RFC 9738); 0 for no limit.
    save_limit: int = limit(0, least=1000, zero=True)

    # What one command may hold.
    bounds: Bounds = limit(BOUNDS, setting="imap.commands")  # noqa: RUF009 - it is a field, and frozen
