-- The sort of a JSON value, named as rules name it.
CREATE FUNCTION kind_of(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE jsonb_typeof(value)
    WHEN 'string' THEN 'text'
    WHEN 'number' THEN 'real'
    WHEN 'boolean' THEN value::text
    ELSE jsonb_typeof(value)
END;

-- The number that a JSON value is; NULL if it is none.
CREATE FUNCTION number_of(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END;

-- The array that a JSON value is; an empty one if it is none.
CREATE FUNCTION array_of(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'array' THEN value ELSE '[]'::jsonb END;

-- Microseconds since 1970 of a date-time of RFC 3339; NULL for any other text.
CREATE FUNCTION instant_us(given text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    parts text[] := regexp_match(
        given,
        '^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?'
        '(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))$'
    );
    year integer := parts[1];
    month integer := parts[2];
    day integer := parts[3];
    hour integer := parts[4];
    minute integer := parts[5];
    second integer := parts[6];
    ahead integer := 0;  -- of UTC, in minutes
BEGIN
    IF parts IS NULL OR year < 1 OR month NOT BETWEEN 1 AND 12 OR day < 1 OR hour > 23 OR minute > 59 OR second > 59
    THEN
        RETURN NULL;
    END IF;
    IF day > extract(day FROM make_date(year, month, 1) + interval '1 month - 1 day') THEN
        RETURN NULL;
    END IF;
    IF parts[8] IS NOT NULL THEN
        ahead := parts[9]::integer * 60 + parts[10]::integer;
        IF ahead >= 1440 THEN
            RETURN NULL;
        END IF;
        IF parts[8] = '-' THEN
            ahead := -ahead;
        END IF;
    END IF;
    RETURN (
        ((make_date(year, month, day) - date '1970-01-01')::bigint * 1440 + hour * 60 + minute - ahead) * 60 + second
    ) * 1000000 + rpad(left(coalesce(parts[7], '0'), 6), 6, '0')::bigint;
END
$$;
