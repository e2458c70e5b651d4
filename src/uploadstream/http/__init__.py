"""What the HTTP protocols share, as values: field grammars, callers, conditions, ranges, problems."""
