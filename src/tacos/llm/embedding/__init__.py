"""Encoders that are models of an embeddings endpoint.

encoder    texts -> vectors, from the ledger or the endpoint
envelope   the request's body, the reply's body, and how the ledger keeps a vector
"""
