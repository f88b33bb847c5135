"""Unpacks bodies that a server compresses although nobody asked it to. Pure."""

from __future__ import annotations

import zlib

from tacos.llm.transport.protocol import MAX_BODY, TransportError

GZIP_MARK = b"\x1f\x8b"
"""The first bytes of everything that gzip has packed, and of no JSON."""
WINDOW_BITS = {"gzip": 31, "zlib": 15, "raw deflate": -15}
"""What zlib is told of each format."""


def unpack_body(body: bytes, encoding: str) -> bytes:
    """A body as it was before it was packed; as it came where it is not packed, or with anything
    but gzip or deflate.

    `encoding` is the value of Content-Encoding. Raises `TransportError` for a damaged body, or one
    that is too long.

    >>> unpack_body(zlib.compress(b"{}"), "deflate"), unpack_body(b"{}", "gzip")
    (b'{}', b'{}')
    """
    if body.startswith(GZIP_MARK):
        return _unpack_as(body, "gzip")
    if encoding != "deflate" or body.lstrip().startswith((b"{", b"[")):
        return body
    # The standard means zlib's format by it; some servers send the bare stream.
    try:
        return _unpack_as(body, "zlib")
    except TransportError:
        return _unpack_as(body, "raw deflate")


def _unpack_as(body: bytes, packing: str) -> bytes:
    """Unpack a body, at most `MAX_BODY` bytes. Raises `TransportError`."""
    unpacker = zlib.decompressobj(WINDOW_BITS[packing])
    try:
        unpacked = unpacker.decompress(body, MAX_BODY)
    except zlib.error as error:
        raise TransportError("cut", f"a damaged body ({packing}): {error}") from None
    if unpacker.unconsumed_tail:
        raise TransportError("cut", f"an answer of more than {MAX_BODY} bytes")
    if not unpacker.eof:
        raise TransportError("cut", f"a body ({packing}) that ends too early")
    return unpacked
