-- known --
-- The tenants that have keys or results, and the one that needs no key.
SELECT 'default' AS tenant
UNION SELECT tenant FROM gristmill.versions
UNION SELECT tenant FROM gristmill.api_keys
ORDER BY tenant

-- rights --
-- Of a role and a schema: whether they exist, and the rights there of the role and of this session's role.
SELECT reader.oid IS NOT NULL AS reader, n.oid IS NOT NULL AS schema,
       coalesce(has_schema_privilege(reader.oid, n.oid, 'USAGE'), false) AS open,
       coalesce(pg_has_role(n.nspowner, 'USAGE'), false) AS owned,
       coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS writable,
       me.rolsuper OR me.rolcreaterole AS may_create_role,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       quote_ident(me.rolname) AS me, quote_ident(current_database()) AS database
FROM pg_roles me
LEFT JOIN pg_roles reader ON reader.rolname = @role
LEFT JOIN pg_namespace n ON n.nspname = @schema
WHERE me.rolname = current_user

-- lock --
-- One session at a time makes the role, schema and grants that a tenant lacks. Postgres' own IF NOT EXISTS
-- fails in a race, and so do two GRANTs. Not an advisory lock, which every login may take and keep. This mode
-- waits for no reader and no writer of the table.
LOCK TABLE gristmill.results IN SHARE UPDATE EXCLUSIVE MODE

-- let_in --
-- Let every role into the schema of the tables; the right to read is granted table by table.
GRANT USAGE ON SCHEMA gristmill_results TO PUBLIC

-- hold --
-- Lock the names of a tenant, as publishers do: Postgres fails the second of two GRANTs on one view.
SELECT FROM gristmill.results WHERE tenant = @tenant ORDER BY name FOR UPDATE

-- unread --
-- The tables of a tenant, and its views in @schema, that @role may not read yet.
SELECT n.nspname AS schema, c.relname AS relation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles reader ON reader.rolname = @role
WHERE NOT has_table_privilege(reader.oid, c.oid, 'SELECT') AND pg_has_role(c.relowner, 'USAGE')
  AND (n.nspname = 'gristmill_results'
       AND c.relname IN (SELECT relation FROM gristmill.versions WHERE tenant = @tenant)
       OR n.nspname = @schema
       AND c.relname IN (SELECT name FROM gristmill.results WHERE tenant = @tenant AND current IS NOT NULL))
