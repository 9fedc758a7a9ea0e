"""How the score is fitted, tried and reported: on folders of records, away from the running service.

``files`` and ``panel`` need the standard library only, so that scoring a folder does. The rest needs the extra
``alongside[fit]``, and is imported by ``commands`` when it is asked for.
"""
