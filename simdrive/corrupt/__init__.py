"""What can be wrong with a camera picture: fifteen corruptions with a severity and a window on the world clock."""
