-- Which tables a role may read is granted table by table; see shared/db/tenants.py.
GRANT USAGE ON SCHEMA gristmill_results TO PUBLIC
