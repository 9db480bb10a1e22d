"""Studies: several runs whose outcomes together answer one question. Pure statistics on tables, and what drives them."""
