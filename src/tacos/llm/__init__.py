"""The only way to a model over a network.

`connect` gives a client, `ledger.open_ledger` the ledger that keeps every paid reply. One module per
concern:

    prompting   a request -> messages            endpoint    URL, headers, key, certificates
    parsing     a reply -> JSON (loose.py)       connection  one HTTP exchange after another
    envelope    the chat-completions format      wire        many of them (proxied.py: through a proxy)
    refusing    what an error status means       pacing      concurrency, rates, pauses
    reacting    what is done about an answer     sending     when each request goes out (looping.py)
    ledger      paid replies (entries, claims, owners)
    client      all of this behind `answer`      replaying   the same from the ledger alone (replies.py)
    budget      the hard cap                     prices      what models cost
    quote       what a run will cost             exchange    questions and answers as files
    grouped     several questions in a request   grouping    how they are put together
    embedder    encoders of an endpoint          embedding   the embeddings format
    batch       OpenAI's batch API (calling, submissions)
"""

from tacos.llm.client import Client, connect

__all__ = ["Client", "connect"]
