"""From stored trials to figures, verdicts and the recommendation."""
