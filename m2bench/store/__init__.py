"""What a run leaves on the disk: its trials, and files and folders that are written safely."""
