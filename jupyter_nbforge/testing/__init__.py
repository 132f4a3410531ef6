"""Tools for tests, shipped for writers of other providers; `conformance` needs pytest."""
