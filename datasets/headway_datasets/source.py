"""The Source protocol, where a reader looks for it; it is defined in the core, which needs it without the readers."""

from headway.source import Source

__all__ = ["Source"]
