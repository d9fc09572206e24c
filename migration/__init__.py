"""Moving mailboxes: from a legacy platform to a shard, while everybody keeps using their mail.

Plugs its commands and its role into mailplat through entry points; nothing in `mailplat/` imports it.
"""
