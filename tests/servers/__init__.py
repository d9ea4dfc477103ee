"""Real servers that the tests start: where each is installed, how it is started, and that it is ended again.

`tools/install-servers` puts them there; a module a server, each a context manager whose `__enter__` returns when the
server answers and raises `ServerError`, with the end of its log, when it does not.
"""
