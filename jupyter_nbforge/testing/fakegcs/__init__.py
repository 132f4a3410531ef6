"""A proxy that keeps the promises of Cloud Storage which fake-gcs-server does not keep.

``python -m jupyter_nbforge.testing.fakegcs`` runs it; `testing.gcs_server` starts both. What
is checked here, and not by fake-gcs-server: preconditions of every request, the hashes that an
upload names, the expiry and the signature of signed URLs, the rules of resumable uploads.
Writes of one object follow each other, so that of several conditional ones a single one wins.
"""
