class Results:
    """Sends the models of results to Gristmill's Postgres, in which Django makes no table."""

    def db_for_read(self, model, **hints):
        return "gristmill" if model._meta.db_table.startswith('"results') else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return False if db == "gristmill" else None
