-- Verbs plan for tables of any size. Plans are kept for as long as a connection lives, and the first is often made when
-- the tables are empty, where reading them whole looks cheap. And nobody waits for long.
DO $$
DECLARE
    verb regprocedure;
BEGIN
    FOR verb IN SELECT oid FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proconfig IS NOT NULL LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET enable_hashjoin = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET enable_mergejoin = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET enable_bitmapscan = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET enable_material = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', verb);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', verb);
        EXECUTE format('ALTER FUNCTION %s SET lock_timeout = ''4s''', verb);
    END LOOP;
END
$$;
