"""Vision-language models as real transformers classes: build, load, generate, count. torch lives here."""
