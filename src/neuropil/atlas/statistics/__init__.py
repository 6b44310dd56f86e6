"""What the numbers say: estimates, verdicts, power, many comparisons, and the smallest differences that matter."""
