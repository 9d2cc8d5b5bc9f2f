"""Rules for Block Kit blocks, whether Bellhop builds them or a sender does."""
