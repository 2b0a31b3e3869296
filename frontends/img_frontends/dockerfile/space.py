"""Which characters are blank. BuildKit is written in Go, whose notion of white space differs from Python's.

Three sets are in use: Unicode white space as Go has it (`BLANKS`: trimming lines, ending flags and quoted words), the
ASCII blanks between the words of COPY and its like (`GAPS`), and those of JSON (in the grammar).
"""

from __future__ import annotations

BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What Go's ``unicode.IsSpace`` says yes to. Python's ``str.isspace`` also takes U+001C to U+001F."""

GAPS = "\t\v\f\r "
"""What separates a keyword from the rest, and words that know no quotes."""

BLANK_CLASS = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""`BLANKS` for use in the brackets of a regular expression."""

GAP_CLASS = r"\t\v\f\r "
"""`GAPS` for use in the brackets of a regular expression."""
