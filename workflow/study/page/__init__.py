"""The page of a study: results/{study}/index.html, one file that needs no network."""
