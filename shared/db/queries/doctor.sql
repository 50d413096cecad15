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
-- Each right of @readers, or of all roles, beyond reading the results of the reader's tenant.
-- The views of each of @tenants are in its one of @schemas. The cure takes the right away, as its grantor.
-- A role that may make roles may also grant these by design, so it is not among them.
WITH readers AS (
    SELECT r.*, t.tenant, t.schema
    FROM unnest(@tenants::text[], @readers::text[], @schemas::text[]) AS t (tenant, reader, schema)
    JOIN pg_roles r ON r.rolname = t.reader
), schemas AS (
    SELECT * FROM pg_namespace
    WHERE nspname IN ('gristmill', 'gristmill_migrations', 'gristmill_results', 'results')
       OR nspname LIKE 'results\_%'
), relations AS (
    SELECT c.*, n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM pg_class c JOIN schemas n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm')
), granted AS (
    SELECT 'SCHEMA' AS kind, n.nspname, NULL::name AS relname, quote_ident(n.nspname) AS name,
           n.nspowner AS owner, a.*, a.privilege_type AS privilege
    FROM schemas n CROSS JOIN LATERAL aclexplode(n.nspacl) a
    UNION ALL
    SELECT 'TABLE', c.nspname, c.relname, c.name, c.relowner, a.*, a.privilege_type
    FROM relations c CROSS JOIN LATERAL aclexplode(c.relacl) a
    UNION ALL
    SELECT 'TABLE', c.nspname, c.relname, c.name, c.relowner, a.*,
           format('%s (%I)', a.privilege_type, t.attname)
    FROM relations c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) a
), judged AS (
    SELECT g.*, coalesce(quote_ident(r.rolname), 'every role') AS who,
           coalesce(quote_ident(r.rolname), 'PUBLIC') AS role,
           CASE WHEN g.nspname IN ('gristmill', 'gristmill_migrations') THEN true
           WHEN g.privilege_type NOT IN ('USAGE', 'SELECT') THEN true
           WHEN g.nspname <> 'gristmill_results' THEN r.oid IS NULL OR g.nspname <> r.schema
           WHEN g.kind = 'SCHEMA' THEN false
           ELSE r.oid IS NULL OR coalesce(v.tenant <> r.tenant, false) END AS beyond
    FROM granted g LEFT JOIN readers r ON r.oid = g.grantee
    LEFT JOIN gristmill.versions v ON v.relation = g.relname AND g.nspname = 'gristmill_results'
    WHERE r.oid IS NOT NULL OR g.grantee = 0
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
SELECT format('%s may %s%s %s', who, CASE WHEN beyond THEN '' ELSE 'grant ' END, privilege, name),
       concat(CASE WHEN grantor <> owner THEN format('SET ROLE %s; ', grantor::regrole) END,
              'REVOKE ', CASE WHEN NOT beyond THEN 'GRANT OPTION FOR ' END,
              format('%s ON %s %s FROM %s', privilege, kind, name, role),
              CASE WHEN is_grantable THEN ' CASCADE' END,
              CASE WHEN grantor <> owner THEN '; RESET ROLE' END)
FROM judged WHERE beyond OR is_grantable
ORDER BY 1

-- uploads --
-- Tenant and id of the newest uploads.
SELECT tenant, id FROM gristmill.uploads ORDER BY created_at DESC LIMIT @most::bigint
