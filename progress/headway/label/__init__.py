"""Marking stages and success by hand, on a page that this machine serves to itself."""
