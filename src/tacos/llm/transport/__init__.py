"""HTTP to an endpoint.

endpoint            URL, headers, key, proxy and certificates, from the settings
protocol            what a transport does
connection_pool     the fast transport (http_connection: one connection of it)
aiohttp_transport   the transport through a proxy
"""
