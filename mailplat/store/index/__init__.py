"""The index: one database beside the files. `tables.py` says what each column is for; SQL stands with the verb
that needs it."""
