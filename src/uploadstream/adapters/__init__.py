"""The ports made of real things; each module owns one library."""
