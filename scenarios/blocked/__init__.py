"""Something blocks the lane ahead: crashes, works, doors, slow or stopped vehicles, oncoming ones that swing out."""
