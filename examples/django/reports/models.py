# The rows of results.orders_by_country, read-only; printed by `gristmill models --django orders_by_country`.
#
# `db_table` has the schema, so no search_path is needed. In templates `_id` is `pk`.
# If Gristmill's Postgres is not your default database, name it in settings.py, with a login that reads:
#
#     DATABASES["gristmill"] = {
#         "ENGINE": "django.db.backends.postgresql",
#         "HOST": "127.0.0.1",
#         "PORT": 5432,
#         "NAME": "gristmill",
#         "USER": "gristmill_reader",
#         "PASSWORD": "...",
#     }
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

from django.db import models


class OrdersByCountry(models.Model):
    _id = models.BigIntegerField(primary_key=True)
    country = models.TextField(null=True)
    orders = models.BigIntegerField(null=True)
    revenue = models.DecimalField(max_digits=38, decimal_places=2, null=True)

    class Meta:
        managed = False
        db_table = '"results"."orders_by_country"'
