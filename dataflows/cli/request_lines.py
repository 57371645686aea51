"""What the outputs about a request say, in a line."""

from __future__ import annotations

from typing import Any

from config.clock import to_text


def said_of_request(kind: str, data: dict[str, Any]) -> str:
    """Return a line about an output of type `kind`."""
    identity = data["request_id"][:12]
    match kind:
        case "approval.requested":
            asks = f"whether to {data['remedy']}" if data["remedy"] else "what to do"
            said = f"{' or '.join(data['roles'])}, {data['people']} people: {asks}, until {to_text(data['expires_at'])}"
        case "approval.counted":
            said = f"{data['approver']} ({data['role']}): {data['answer']}"
        case "approval.refused":
            said = f"{data['answer']} of {data['approver']} does not count, {data['reason']}: {data['detail']}"
        case "approval.escalated":
            said = f"{data['to']} may answer" + ("" if data["notify"] else f", but is not told: {data['why']}")
        case _:
            said = f"{data['end']}: {data['why']}"
    return f"{identity}  {said}"
