"""The published language of Alongside: events and request bodies, each declared once.

Imports marshmallow and the standard library only, so that any program may depend on it.
"""
