"""The readers' doors: IMAP and POP3, one login for both, and the proxy to accounts whose home is elsewhere.

    login       LoginService: name and password -> Serve (our shard) or Forward (a backend); waits while fenced
    capture     passwords that a backend took;  enrolment: keys for SCRAM made of passwords;  rehash: better hashes
    proxy/      sessions of forwarded accounts: log in at the backend, splice, end when the route changes
    forwarding  the list of these sessions by account, which the route watch ends
    stream      the socket of one session, for both servers
    deflate     a connection in DEFLATE, and what it may inflate to
    imap/       the IMAP server
    pop3/       the POP3 server

Invariants
    * A session serves or forwards only under the route that it was granted; when the route changes it ends, before
      this process acknowledges the change (directory/watch.py).
    * An unknown user and a wrong password get the same answer after the same time.
"""
