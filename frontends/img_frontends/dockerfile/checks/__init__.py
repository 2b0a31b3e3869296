"""Advice about Dockerfiles that can be built all the same.

A rule is data (`rules.RULES`: name, sentence, wording, page) and a pure function over a `subject.Subject`. It yields
findings: an instruction, the exact place, and the words of its message. No rule asks the network: what a rule must know
of a base image it knows only if lowering has asked for that image (`witness.Witness`), and is silent otherwise.
`run.advice` is the one entry: it applies the options (``# check=``, the build argument, comments above instructions).
Rules about what a stage comes to look only at stages that the target needs; those about the text look at all of it.
"""
