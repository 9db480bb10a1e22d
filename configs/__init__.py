"""Every name a user can choose, one yaml each."""
