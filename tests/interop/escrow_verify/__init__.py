"""A second verifier of evidence bundles, written from docs/protocol.md. Section numbers are that page's.

Python's standard library and PyPI `cryptography` only. It shares no code with the escrow programs. It does not run
Cedar: whether a policy gives what a verdict says is not checked here, and every report says so.
"""
