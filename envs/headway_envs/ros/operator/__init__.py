"""The page of whoever stands beside the arm: `page.py`, and what the browser is given."""
