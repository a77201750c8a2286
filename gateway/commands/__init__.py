"""Commands that work on what a gateway keeps, beside it and while it runs."""
