"""Several targets at once. A plan has the form of ``docker-bake.json``: ``target`` (name → what to build) and ``group``
(name → names); documents and compose files are asked for one by the name of their frontend.

`templates` puts variables in and makes the targets of matrices, `plan` checks keys, joins what is inherited and overrides it,
`order` finds what is built before what.
"""

from img.bake.order import linked, links, waves
from img.bake.plan import Plan, read_plan, resolved, selected
from img.bake.templates import filled

__all__ = ["Plan", "filled", "linked", "links", "read_plan", "resolved", "selected", "waves"]
