"""What the HTTP protocols share, as values: field grammars, ranges, problems."""
