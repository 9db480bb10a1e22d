"""The driving language: what a language model is asked, what it answers, and how an answer becomes a plan."""
