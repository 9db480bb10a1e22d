"""UN Regulation No. 157: the four reference drivers, the three scenario types and who collides.

The drivers say which collisions an automated lane keeping system must prevent: where the reference driver comes
through, so must the system. See ``docs/r157.md``.
"""
