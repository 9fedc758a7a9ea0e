"""Accounts, sign-in, grants and the audit ledger."""

from infra.service import Service

service = Service("people", home=__name__)
