"""Tells people: chat, mail, webhook, pager, by apprise."""
