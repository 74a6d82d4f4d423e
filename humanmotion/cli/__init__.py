"""The `humanmotion` command: it parses, calls one job, and prints what the job hands back."""
