"""What a reader sees of a run: terminal, Markdown, page, charts, and the files they are written to."""
