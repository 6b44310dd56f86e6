"""Results side by side: what each run found, how the runs differ, and what therefore is not comparable."""
