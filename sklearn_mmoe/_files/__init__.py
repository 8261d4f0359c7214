"""Files of our own: what is written, how it is sealed, and how it is read with care.

Reading runs no code from a file, and imports nothing that a file names.
"""
