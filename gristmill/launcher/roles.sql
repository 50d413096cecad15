-- The roles of Gristmill's own Postgres, made or mended. A superuser runs this in Gristmill's database at
-- every start. Two settings of the session are its parameters. gristmill.password is the service's.
-- gristmill.reader_password is that of a login which reads the results of tenant default. Without it there is
-- no such login.

-- The superuser calls no function and no operator that the service may have made.
SET search_path = pg_catalog;

DO $$
DECLARE
    bootstrap CONSTANT oid = 10;
    first_of_users CONSTANT oid = 16384;
    object record;
BEGIN
    -- In a cluster of an earlier version the service was the bootstrap superuser, which cannot cease to be
    -- one. It gets another name. A new role gets its old name and its objects. No session may rename its own
    -- role, so another session does.
    IF (SELECT rolname = 'gristmill' FROM pg_roles WHERE oid = bootstrap) THEN
        CREATE ROLE gristmill_renamer SUPERUSER;
        SET SESSION AUTHORIZATION gristmill_renamer;
        ALTER ROLE gristmill RENAME TO gristmill_admin;
        SET SESSION AUTHORIZATION gristmill_admin;
        DROP ROLE gristmill_renamer;
        CREATE ROLE gristmill;
        FOR object IN  -- sequences and types that belong to a table follow it
            SELECT 'pg_namespace'::regclass AS kind, oid, format('SCHEMA %I', nspname) AS name
            FROM pg_namespace WHERE nspowner = bootstrap AND nspname !~ '^pg_'
            UNION ALL
            SELECT 'pg_class'::regclass, oid, format('TABLE %s', oid::regclass)
            FROM pg_class WHERE relowner = bootstrap AND relkind IN ('r', 'p', 'v', 'm', 'f')
            UNION ALL
            SELECT 'pg_class'::regclass, oid, format('SEQUENCE %s', oid::regclass)
            FROM pg_class WHERE relowner = bootstrap AND relkind = 'S'
                AND NOT EXISTS (
                    SELECT FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')
                )
            UNION ALL
            SELECT 'pg_type'::regclass, t.oid, format('TYPE %s', t.oid::regtype)
            FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
            WHERE typowner = bootstrap AND typtype IN ('e', 'd', 'r', 'c') AND coalesce(relkind = 'c', true)
            UNION ALL
            SELECT 'pg_proc'::regclass, oid, format('ROUTINE %s', oid::regprocedure)
            FROM pg_proc WHERE proowner = bootstrap
        LOOP
            -- Objects of an extension stay with it.
            CONTINUE WHEN object.oid < first_of_users OR EXISTS (
                SELECT FROM pg_depend WHERE classid = object.kind AND objid = object.oid AND deptype = 'e');
            EXECUTE format('ALTER %s OWNER TO gristmill', object.name);
        END LOOP;
    ELSIF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill') THEN
        CREATE ROLE gristmill;
    END IF;

    -- CREATEROLE is for the readers of each tenant. Before Postgres 16 it would also give the right to run
    -- programs.
    EXECUTE format('ALTER ROLE gristmill '
                   'LOGIN NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS %s PASSWORD %L',
                   CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'NOCREATEROLE'
                   ELSE 'CREATEROLE' END,
                   current_setting('gristmill.password'));
    EXECUTE format('GRANT CREATE ON DATABASE %I TO gristmill', current_database());

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_reader_default') THEN
        CREATE ROLE gristmill_reader_default;
    END IF;
    IF current_setting('gristmill.reader_password', true) <> '' THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gristmill_reader') THEN
            CREATE ROLE gristmill_reader;
        END IF;
        -- However many connections a reader opens, the services find theirs.
        EXECUTE format('ALTER ROLE gristmill_reader LOGIN CONNECTION LIMIT 50 PASSWORD %L',
                       current_setting('gristmill.reader_password'));
        GRANT gristmill_reader_default TO gristmill_reader;
    END IF;

    -- Without a password no network reaches the superuser.
    IF (SELECT rolname = 'gristmill_admin' FROM pg_roles WHERE oid = bootstrap) THEN
        ALTER ROLE gristmill_admin PASSWORD NULL;
    END IF;
END
$$;
