"""Rows as chats that a trainer reads: every role, call of a tool and weight survives."""
