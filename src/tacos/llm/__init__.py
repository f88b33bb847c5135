"""The only way to a model over a network.

`connect` gives a client, `ledger.open` the ledger that keeps every paid reply. One module per concern:

    prompting   a request -> messages            endpoint  URL, headers, key, certificates
    parsing     a reply -> JSON (loose.py)       wire      HTTP, fast (proxied.py: through a proxy)
    envelope    the chat-completions format      pacing    concurrency, rates, pauses
    refusing    what an error status means       sending   the one event loop
    ledger      paid replies                     client    all of this behind `answer`
    budget      the hard cap                     prices    what models cost
"""

from tacos.llm.client import Client, connect

__all__ = ["Client", "connect"]
