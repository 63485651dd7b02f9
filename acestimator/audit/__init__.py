"""From a file with wrong labels to a corrected one: read, look for them, review, apply.

Legend of the room: N rows, K classes.
"""
