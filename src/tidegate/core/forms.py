"""Form bodies as JSON: the `payload` field if there is one (GitHub, Slack's interactions), else all fields as an object."""

from urllib.parse import parse_qs

import msgspec

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_FIELDS = 1_000


def is_form(content_type: str) -> bool:
    """True for a Content-Type that means a form, whatever its parameters."""
    return content_type.partition(";")[0].strip().lower() == FORM_TYPE


def form_document(body: bytes, max_fields: int = MAX_FORM_FIELDS) -> bytes:
    """The form as a JSON document, not yet parsed where the sender wrote it. A field that is repeated becomes a list.

    Raises ValueError, whose message says what is wrong with the form.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    try:
        form = parse_qs(text, keep_blank_values=True, max_num_fields=max_fields)
    except ValueError:
        raise ValueError(f"it has more than {max_fields} fields") from None
    if not form:
        raise ValueError("it is empty")
    if "payload" in form:
        return form["payload"][0].encode()
    return msgspec.json.encode(
        {name: values if len(values) > 1 else values[0] for name, values in form.items()}
    )
