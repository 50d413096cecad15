"""The forms of a page as a browser without JavaScript reads them."""

from html.parser import HTMLParser


class _Forms(HTMLParser):
    """`fields` are the values that the form *id* sends; `invalid` the names whose fields are marked so."""

    def __init__(self, id_: str) -> None:
        super().__init__()
        self._id, self._inside = id_, False
        self._name: str | None = None
        self._select: str | None = None
        self.fields: dict[str, str] = {}
        self.invalid: dict[str, str] = {}
        """Name -> the text of the errors beside it."""
        self._errors: str | None = None
        self._of: dict[str, str] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._inside = given.get("id") == self._id
        if not self._inside:
            return
        self._note_errors(tag, given)
        name = given.get("name", "")
        if tag == "input" and given.get("type") != "file":
            if given.get("type") != "checkbox" or "checked" in given:
                self.fields[name] = given.get("value", "")
        elif tag in {"textarea", "select"}:
            self._name, self._select = (name, None) if tag == "textarea" else (None, name)
            self.fields[name] = ""
        elif tag == "option" and self._select and "selected" in given:
            self._name = None if "value" in given else self._select
            self.fields[self._select] = given.get("value", "")

    def _note_errors(self, tag: str, given: dict[str, str]) -> None:
        if "aria-invalid" in given:
            self.invalid[given["name"]] = ""
            self._of[given["aria-describedby"]] = given["name"]
        if tag == "ul" and given.get("id") in self._of:
            self._errors = self._of[given["id"]]

    def handle_data(self, data: str) -> None:
        if self._name is not None:
            self.fields[self._name] += data
        if self._errors is not None:
            self.invalid[self._errors] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._name is not None:
            self.fields[self._name] = self.fields[self._name].removeprefix("\n").replace("\n", "\r\n")
        if tag in {"textarea", "option"}:
            self._name = None
        if tag == "select":
            self._select = None
        if tag == "ul":
            self._errors = None
        if tag == "form":
            self._inside = False


def fields_of(page: str, form: str) -> dict[str, str]:
    """What the form with this id sends, without a button."""
    return _read(page, form).fields


def errors_of(page: str, form: str) -> dict[str, str]:
    """The fields of the form that are marked as invalid, each with the errors beside it."""
    return _read(page, form).invalid


def _read(page: str, form: str) -> _Forms:
    forms = _Forms(form)
    forms.feed(page)
    assert forms.fields, f"there is no form {form}"
    return forms
