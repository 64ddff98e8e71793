"""The tables of a report, one file each: a function from the summary to a table, or to None where there is none."""
