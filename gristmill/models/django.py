"""An unmanaged Django model."""

from gristmill.client.documents import ResultDocument
from gristmill.models.columns import Column, class_name, columns, literal, schema_and_view

_FIELDS = {
    "bool": "models.BooleanField",
    "int64": "models.BigIntegerField",
    "float64": "models.FloatField",
    "decimal": "models.DecimalField",
    "string": "models.TextField",
    "date": "models.DateField",
    "timestamp": "NaiveDateTimeField",
    "timestamptz": "models.DateTimeField",
}

TAKEN = frozenset(
    {
        *("DoesNotExist", "Meta", "MultipleObjectsReturned", "NotUpdated", "objects", "pk"),
        *("adelete", "arefresh_from_db", "asave", "check", "clean", "clean_fields", "date_error_message"),
        *("delete", "from_db", "full_clean", "get_constraints", "get_deferred_fields"),
        *("prepare_database_save", "refresh_from_db", "save", "save_base", "serializable_value"),
        *("unique_error_message", "validate_constraints", "validate_unique"),
        *("ArrayField", "FieldError", "NaiveDateTimeField", "models"),
        "id",
    }
)
"""Names of Django's Model, then those that the text uses; Django keeps `id` for a primary key."""

_TEXT = """\
# The rows of {relation}, read-only; printed by `gristmill models --django {name}`.
#
# `db_table` has the schema, so no search_path is needed. In templates `_id` is `pk`.
# If Gristmill's Postgres is not your default database, name it in settings.py, with a login that reads:
#
#     DATABASES["gristmill"] = {{
#         "ENGINE": "django.db.backends.postgresql",
#         "HOST": "127.0.0.1",
#         "PORT": 5432,
#         "NAME": "gristmill",
#         "USER": "gristmill_reader",
#         "PASSWORD": "...",
#     }}
#     DATABASE_ROUTERS = ["reports.routers.Results"]
#
# A router, here in reports/routers.py, sends the queries there:
#
#     class Results:
#         def db_for_read(self, model, **hints):
#             return "gristmill" if model._meta.db_table.startswith('"results') else None
#
#         db_for_write = db_for_read
#
#         def allow_migrate(self, db, app_label, **hints):
#             return False if db == "gristmill" else None

{imports}from django.db import models
{naive}

class {model}(models.Model):
    _id = models.BigIntegerField(primary_key=True)
{fields}

    class Meta:
        managed = False
        db_table = '"{schema}"."{view}"'
"""

_ARRAYS = "from django.contrib.postgres.fields import ArrayField\n"
_ERRORS = "from django.core.exceptions import FieldError\n"

_NAIVE = '''

class NaiveDateTimeField(models.DateTimeField):
    """A time without a zone. It takes and gives naive datetimes, whatever USE_TZ is."""

    def get_prep_value(self, value):
        if getattr(value, "tzinfo", None):
            raise ValueError(f"{value!r} has a time zone, and the column {self.column!r} has none")
        return value

    def get_transform(self, lookup_name):
        raise FieldError(f"__{lookup_name} takes {self.column!r} for a time of the current zone: use __gte")
'''


def model(result: ResultDocument) -> str:
    """A Python module with the model; its comment has a router. Raises ValueError for an unknown type."""
    found = columns(result, TAKEN)
    schema, view = schema_and_view(result)
    naive = any(column.kind == "timestamp" for column in found)
    arrays = any(column.array for column in found)
    return _TEXT.format(
        **result,
        imports=_ARRAYS * arrays + _ERRORS * naive,
        naive=_NAIVE * naive,
        model=class_name(result, TAKEN),
        fields="\n".join(f"    {column.attribute} = {_field(column)}" for column in found),
        schema=schema,
        view=view,
    )


def _field(column: Column) -> str:
    digits = zip(("max_digits", "decimal_places"), column.digits, strict=False)
    sizes = [f"{name}={number}" for name, number in digits]
    named = [f"db_column={literal(_db_column(column.name))}"] if column.renamed else []
    field = _FIELDS[column.kind]
    if column.array:
        element = f"{field}({', '.join(sizes)})"
        return f"ArrayField({', '.join([element, *named, 'null=True'])})"
    return f"{field}({', '.join([*sizes, *named, 'null=True'])})"


def _db_column(name: str) -> str:
    """A name that reaches Postgres as *name*: Django doubles neither `%` nor quotes."""
    name = name.replace("%", "%%")
    return '"' + name.replace('"', '""') + '"' if '"' in name else name
