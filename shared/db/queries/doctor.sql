-- server --
-- The server, and this session's role and database.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::integer AS version_number,
       pg_is_in_recovery() AS replica, current_setting('server_encoding') AS encoding,
       current_setting('max_connections')::integer AS max_connections,
       current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved_connections,
       me.rolconnlimit AS role_connections, d.datconnlimit AS database_connections,
       quote_ident(me.rolname) AS me, quote_ident(d.datname) AS database,
       me.rolsuper AS superuser, me.rolcreaterole AS may_create_role,
       has_database_privilege(d.oid, 'CREATE') AS may_create_schema,
       NOT me.rolsuper AND pg_has_role('pg_execute_server_program', 'MEMBER') AS may_run_programs
FROM pg_roles me, pg_database d
WHERE me.rolname = current_user AND d.datname = current_database()

-- unsafe --
-- Settings without which Postgres may lose commits that it has confirmed, and where each was switched off.
SELECT name, source FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
ORDER BY name

-- now --
-- Seconds since 1970 by the server's clock.
SELECT extract(epoch FROM clock_timestamp())::float8

-- sessions --
-- How many sessions there are by application name. Other roles' names are hidden, and counted as empty.
SELECT coalesce(application_name, '') AS name, count(*) AS sessions
FROM pg_stat_activity WHERE datid IS NOT NULL GROUP BY 1

-- foreign_owners --
-- Schemas and tables of the service that another role owns, as ALTER names them. Sequences follow their table.
SELECT 'SCHEMA ' || quote_ident(n.nspname) AS name FROM pg_namespace n
WHERE n.nspname IN ('gristmill', 'gristmill_results', 'gristmill_migrations')
  AND NOT pg_has_role(n.nspowner, 'USAGE')
UNION ALL
SELECT 'TABLE ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('gristmill', 'gristmill_results', 'gristmill_migrations')
  AND c.relkind IN ('r', 'p', 'v') AND NOT pg_has_role(c.relowner, 'USAGE')
ORDER BY 1

-- closed_views --
-- Schemas of views in which the service may not make a view.
SELECT quote_ident(nspname) AS name FROM pg_namespace
WHERE (nspname = 'results' OR nspname LIKE 'results\_%') AND NOT has_schema_privilege(oid, 'CREATE')
ORDER BY 1

-- roles --
-- Those of the roles that exist.
SELECT rolname AS name FROM pg_roles WHERE rolname = ANY (@roles::text[])

-- uploads --
-- Tenant and id of the newest uploads.
SELECT tenant, id FROM gristmill.uploads ORDER BY created_at DESC LIMIT @most::bigint
