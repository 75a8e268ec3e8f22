"""The HTML page of a run: figures, tables, evidence."""
