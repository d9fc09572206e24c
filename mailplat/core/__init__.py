"""The vocabulary that every room shares: addresses, replies, outcomes, routes, hints, errors, seams.

Standard library only, no I/O but in the two seams (`disk`, `clock`), imports nothing from the house.
"""
