"""The words of a distillation; imports nothing, so that settings can be read without torch."""

CAPABILITIES = ("perception", "reasoning", "planning")
SUPERVISED, KL = "supervised", "kl"
ATTENTION, COSINE, WHOLE = "attention", "attention_cosine", "whole_attention"
HIDDEN, HIDDEN_COSINE = "hidden", "hidden_cosine"
SIGNALS = (ATTENTION, COSINE, WHOLE, HIDDEN, HIDDEN_COSINE)
OF_STATES = (HIDDEN, HIDDEN_COSINE)  # the others are of attention
METHODS = ("agp", "agp_first", "agp_second", "plain_sum", "equal_supervision", "pcgrad")
