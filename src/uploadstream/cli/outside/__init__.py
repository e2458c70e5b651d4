"""What the doctor sees of a deployment from outside, asking as clients do, through whatever stands before it."""
