"""Storages around a storage, one concern each."""
