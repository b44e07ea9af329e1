"""The AMEIR model: supernet and derived model are the same modules."""
