"""What the bot says: channels to post in, and posting."""
