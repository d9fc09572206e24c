"""Legacy platforms that cannot be installed beside Dovecot: each in a Debian tree of its own, run by chroot.

tree      a tree with packages, made by debootstrap once and kept
courier   Courier's imapd and pop3d on it;  cyrus: Cyrus's imapd, pop3d and lmtpd
life      what an account has there, as a client sees it
__main__  `make legacy-drill`: there, here, back and here again; what a client sees is the same each time
"""
