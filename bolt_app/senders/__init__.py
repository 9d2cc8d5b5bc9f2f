"""Known senders: one folder for each tool whose webhook bodies become notifications.

A folder has `mapping.py` with a `KnownSender` named `SENDER`, and `fixtures/*.json`: example bodies
with their headers and the expected notifications. The registry finds new folders.
`docs/senders/<name>.md` describes the setup.
"""
