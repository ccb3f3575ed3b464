"""The rosbridge protocol: `client.py` joins a graph through a server, `server.py` puts one before a graph."""
