"""The study in the layout of a paper: results/{study}/paper.pdf, set by Typst: paper.typ."""
