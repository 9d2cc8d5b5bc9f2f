"""Known senders: one folder for each tool whose webhook bodies become notifications.

A folder has `mapping.py` with a `KnownSender` named `SENDER`, and `fixtures/*.json`: bodies in the
shape that the sender documents, with the headers and the notifications that they become. The
registry finds new folders; `docs/senders/<name>.md` says what to paste where.
"""
