"""The only way to a model over a network.

client      the door: `connect` gives a model that answers requests
sending     the road of a request: reserve, send, read, store, deliver (`sender.Sender.ask`)
transport   HTTP: where requests go, and two ways to get there behind one protocol
ledger      every paid reply, so that none is lost and none is bought twice
chat        from a question to a chat, and from a chat to an answer
embedding   encoders of an embeddings endpoint
offline     batches, and questions and answers as files
cost        prices, the hard cap, and forecasts
"""

from tacos.llm.client import Client, connect

__all__ = ["Client", "connect"]
