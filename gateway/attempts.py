"""The log of what CRMs were told and what they answered, as it is read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class IntegrationLog:
    """A row of `integration_logs`: one attempt. `status`: success or error.

    `call_id`, `unique_id`, `push_id`: of the report, as the CRM was given them.
    """

    created_at: datetime
    enterprise_number: str
    integration_type: str
    event_type: str
    request_data: Mapping[str, Any]
    response_data: Mapping[str, Any]
    status: str
    error_message: str = ""
    call_id: int | None = None
    unique_id: str = ""
    push_id: str = ""
