"""The blocking client."""

from gristmill.client.sync.client import Client as Client
