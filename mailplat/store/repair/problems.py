"""Kinds of differences between index and files; the words are stable, monitors may look for them."""

MISSING = "missing"  # a row whose file is not there
SIZE = "size"  # a file that is shorter or longer than its row says
NAME = "name"  # a file under another name than its row says: somebody renamed it
FOREIGN = "foreign"  # a file without a row that is no leftover of ours
DOUBLE = "double"  # two files that claim to be one message
COUNT = "count"  # totals that were not those of the rows (corrected)
RENDERING = "rendering"  # a row without its rendering
FOLDER = "folder"  # a mailbox without its folder
STRANGE = "strange"  # what no mailbox, account or message is: a link, a device, a folder of another name
UNREADABLE = "unreadable"  # a file that a later release has encoded; it is kept
UNKNOWN = "unknown"  # a folder with mail that the index does not know
DESCRIPTION = "description"  # a mailbox or account whose small file is missing or cannot be read
