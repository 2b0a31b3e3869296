"""Questions about a Dockerfile: check, outline, targets, describe, and fix.

They are BuildKit's sub-requests, with its names, versions and JSON fields (`answer.CALLS`); fix is img's own. Each is a
function from a request and a resolver to a `Report`; none builds anything.
"""
