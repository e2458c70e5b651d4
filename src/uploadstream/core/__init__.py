"""The rules: values in, values out, with no waiting, no clock, no file and no log."""
