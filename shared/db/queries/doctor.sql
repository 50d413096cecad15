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
       has_database_privilege(d.oid, 'TEMPORARY') AS may_create_temporary,
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

-- loose_readers --
-- Each right of @readers, or of all roles, beyond reading results, and the statement that takes it away.
-- A role that may make roles may also grant these by design, so it is not among them.
WITH readers AS (
    SELECT * FROM pg_roles WHERE rolname = ANY (@readers::text[])
), granted AS (
    SELECT 'SCHEMA' AS kind, n.nspname, quote_ident(n.nspname) AS name, a.grantee, a.privilege_type AS privilege
    FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
    UNION ALL
    SELECT 'TABLE', n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.grantee, a.privilege_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) a
    WHERE c.relkind IN ('r', 'p', 'v', 'm')
)
SELECT format('%s is %s', quote_ident(r.rolname), attribute) AS found,
       format('ALTER ROLE %I NO%s', r.rolname, attribute) AS cure
FROM readers r CROSS JOIN LATERAL (
    VALUES ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
           ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) AS of_role (attribute, has)
WHERE has
UNION ALL
SELECT format('%s is a member of %s', quote_ident(r.rolname), m.roleid::regrole),
       format('REVOKE %s FROM %I', m.roleid::regrole, r.rolname)
FROM readers r JOIN pg_auth_members m ON m.member = r.oid
UNION ALL
SELECT format('%s may make other roles members of %s', m.member::regrole, quote_ident(r.rolname)),
       format('REVOKE ADMIN OPTION FOR %I FROM %s', r.rolname, m.member::regrole)
FROM readers r JOIN pg_auth_members m ON m.roleid = r.oid JOIN pg_roles o ON o.oid = m.member
WHERE m.admin_option AND NOT o.rolsuper AND NOT o.rolcreaterole AND o.rolname <> current_user
UNION ALL
SELECT format('%s may %s %s', coalesce(quote_ident(r.rolname), 'every role'), g.privilege, g.name),
       format('REVOKE %s ON %s %s FROM %s', g.privilege, g.kind, g.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
FROM granted g LEFT JOIN readers r ON r.oid = g.grantee
WHERE (r.oid IS NOT NULL OR g.grantee = 0)
  AND CASE WHEN g.nspname IN ('gristmill', 'gristmill_migrations') THEN true
      WHEN g.nspname = 'gristmill_results' OR g.nspname = 'results' OR g.nspname LIKE 'results\_%'
      THEN g.privilege NOT IN ('USAGE', 'SELECT') ELSE false END
ORDER BY 1

-- uploads --
-- Tenant and id of the newest uploads.
SELECT tenant, id FROM gristmill.uploads ORDER BY created_at DESC LIMIT @most::bigint
