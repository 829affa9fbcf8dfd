import PostgresClient

extension SchemaMigration {
    /// The message log's tables and functions, in the schema `userllm_log`.
    ///
    /// A record's offset is assigned under its partition's row lock by the statement that inserts it. So commit order
    /// is offset order, and a reader never sees a gap filled later. What must happen together is one function, and so
    /// one statement: no transaction of ours is ever open while a process is stopped, and a batch costs one round trip.
    ///
    /// Locks are taken in one order everywhere: a group's advisory lock, `group_offsets` by partition, `partitions` by
    /// id.
    static let messageLog = SchemaMigration(
        name: "the message log",
        schema: "userllm_log",
        versionTable: "schema_version",
        lock: 0x5553_4C4C_0001,
        steps: [logTables + appendFunctions + groupFunctions, outcomes, appending]
    )

    private static let logTables = """
        CREATE TABLE userllm_log.topics (
            id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE,
            partition_count int4 NOT NULL CHECK (partition_count > 0),
            -- NULL: the topic is compacted
            retention_milliseconds int8
        );

        -- One small row for each partition, changed by every append: room for many versions on its page.
        CREATE TABLE userllm_log.partitions (
            id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            topic_id int4 NOT NULL REFERENCES userllm_log.topics,
            partition int4 NOT NULL,
            next_offset int8 NOT NULL DEFAULT 0,
            low_offset int8 NOT NULL DEFAULT 0,
            compacted_offset int8 NOT NULL DEFAULT 0,
            UNIQUE (topic_id, partition)
        ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

        -- Vectors do not compress, and a row of some kilobytes is read faster in one piece.
        CREATE TABLE userllm_log.records (
            partition_id int4 NOT NULL,
            record_offset int8 NOT NULL,
            appended_at int8 NOT NULL,
            key bytea,
            value bytea,
            headers bytea,
            PRIMARY KEY (partition_id, record_offset)
        ) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05);
        ALTER TABLE userllm_log.records
            ALTER key SET STORAGE EXTERNAL, ALTER value SET STORAGE EXTERNAL, ALTER headers SET STORAGE EXTERNAL;

        -- Which appends took effect, for some minutes: asked when the connection broke before the answer.
        CREATE TABLE userllm_log.appends (
            id uuid PRIMARY KEY,
            appended_at timestamptz NOT NULL DEFAULT now()
        );

        CREATE TABLE userllm_log.members (
            id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            group_name text NOT NULL,
            name text NOT NULL,
            topic_ids int4[] NOT NULL,
            session_milliseconds int8 NOT NULL,
            heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (fillfactor = 50);

        -- The epoch counts changes of the owner: a commit names the epoch it read under, and is refused under another.
        CREATE TABLE userllm_log.group_offsets (
            group_name text NOT NULL,
            partition_id int4 NOT NULL REFERENCES userllm_log.partitions,
            next_offset int8,
            owner int4,
            epoch int8 NOT NULL DEFAULT 0,
            PRIMARY KEY (group_name, partition_id)
        ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

        """

    /// Records commits in `appends` too, and the refusals of statements whose outcome was queried.
    ///
    /// A query about a statement's outcome leaves a refusal there: the statement can
    /// then no longer take effect, and a repeated query, because that reply was lost as well, gets the same answer.
    private static let outcomes = """
        ALTER TABLE userllm_log.appends ADD COLUMN is_refused bool NOT NULL DEFAULT false;
        DROP FUNCTION userllm_log.fence(text, int4, int4[]);
        """

    /// Creates the function that appends.
    ///
    /// It reads its arrays by number. `unnest` of several arrays would first store each of them whole, and on disk when a
    /// batch's values are more than `work_mem`.
    private static let appending = """
        -- p_partitions: ids, ascending. Of record n: p_index[n] says which of them (from 1), p_sequence[n] its place
        -- among the records of that partition (from 0). p_counts: how many records each partition gets.
        CREATE OR REPLACE FUNCTION userllm_log.append_records(
            p_partitions int4[], p_counts int4[], p_index int4[], p_sequence int4[],
            p_keys bytea[], p_values bytea[], p_headers bytea[]
        ) RETURNS void LANGUAGE plpgsql AS $function$
        DECLARE
            bases int8[];
            present int8;
        BEGIN
            PERFORM FROM userllm_log.partitions WHERE id = ANY (p_partitions) ORDER BY id FOR NO KEY UPDATE;
            UPDATE userllm_log.partitions p SET next_offset = p.next_offset + c.n
                FROM unnest(p_partitions, p_counts) c (id, n) WHERE p.id = c.id;
            SELECT array_agg(p.next_offset - c.n ORDER BY c.id) INTO bases
                FROM unnest(p_partitions, p_counts) c (id, n) JOIN userllm_log.partitions p ON p.id = c.id;
            IF coalesce(cardinality(bases), 0) <> cardinality(p_partitions) THEN
                RAISE EXCEPTION 'a partition was dropped' USING ERRCODE = 'UL003';
            END IF;
            -- The clock is read after the locks, so times do not go back within a partition.
            present := extract(epoch FROM clock_timestamp()) * 1000;
            INSERT INTO userllm_log.records (partition_id, record_offset, appended_at, key, value, headers)
                SELECT p_partitions[p_index[n]], bases[p_index[n]] + p_sequence[n], present, p_keys[n], p_values[n],
                    p_headers[n]
                FROM generate_series(1, cardinality(p_index)) n;
            PERFORM pg_notify('userllm_log_' || t.topic_id, '')
                FROM (SELECT DISTINCT topic_id FROM userllm_log.partitions WHERE id = ANY (p_partitions)) t;
        END $function$;
        """

    private static let appendFunctions = """
        CREATE FUNCTION userllm_log.append_once(
            p_id uuid, p_partitions int4[], p_counts int4[], p_index int4[], p_sequence int4[],
            p_keys bytea[], p_values bytea[], p_headers bytea[]
        ) RETURNS void LANGUAGE plpgsql AS $function$
        BEGIN
            INSERT INTO userllm_log.appends (id) VALUES (p_id);
            PERFORM userllm_log.append_records(
                p_partitions, p_counts, p_index, p_sequence, p_keys, p_values, p_headers);
        END $function$;

        -- Offsets and outputs together, if the member still owns every source under the epoch it read under.
        CREATE FUNCTION userllm_log.commit_batch(
            p_group text, p_member int4, p_sources int4[], p_epochs int8[], p_expected int8[], p_next int8[],
            p_partitions int4[], p_counts int4[], p_index int4[], p_sequence int4[],
            p_keys bytea[], p_values bytea[], p_headers bytea[]
        ) RETURNS void LANGUAGE plpgsql AS $function$
        DECLARE
            changed int8;
        BEGIN
            PERFORM FROM userllm_log.group_offsets
                WHERE group_name = p_group AND partition_id = ANY (p_sources)
                ORDER BY partition_id FOR NO KEY UPDATE;
            UPDATE userllm_log.group_offsets g SET next_offset = c.next
                FROM unnest(p_sources, p_epochs, p_expected, p_next) c (id, epoch, expected, next)
                WHERE g.group_name = p_group AND g.partition_id = c.id AND g.owner = p_member AND g.epoch = c.epoch
                    AND g.next_offset IS NOT DISTINCT FROM c.expected;
            GET DIAGNOSTICS changed = ROW_COUNT;
            IF changed <> cardinality(p_sources) THEN
                RAISE EXCEPTION 'member % of group % no longer owns % of % partitions',
                    p_member, p_group, cardinality(p_sources) - changed, cardinality(p_sources)
                    USING ERRCODE = 'UL001';
            END IF;
            IF cardinality(p_partitions) > 0 THEN
                PERFORM userllm_log.append_records(
                    p_partitions, p_counts, p_index, p_sequence, p_keys, p_values, p_headers);
            END IF;
        END $function$;

        -- Ends what an earlier statement of this member may still be doing, and says where the offsets are: under the new
        -- epoch the earlier statement can no longer commit.
        CREATE FUNCTION userllm_log.fence(p_group text, p_member int4, p_sources int4[])
        RETURNS TABLE (partition_id int4, epoch int8, next_offset int8) LANGUAGE plpgsql AS $function$
        #variable_conflict use_column
        BEGIN
            PERFORM FROM userllm_log.group_offsets
                WHERE group_name = p_group AND partition_id = ANY (p_sources)
                ORDER BY partition_id FOR NO KEY UPDATE;
            RETURN QUERY UPDATE userllm_log.group_offsets g SET epoch = g.epoch + 1
                WHERE g.group_name = p_group AND g.partition_id = ANY (p_sources) AND g.owner = p_member
                RETURNING g.partition_id, g.epoch, g.next_offset;
        END $function$;

        """

    private static let groupFunctions = """
        CREATE FUNCTION userllm_log.group_lock(p_group text) RETURNS void LANGUAGE sql AS
            $function$ SELECT pg_advisory_xact_lock(hashtextextended(p_group, 5461836)) $function$;

        CREATE FUNCTION userllm_log.group_notify(p_group text) RETURNS void LANGUAGE sql AS
            $function$ SELECT pg_notify('userllm_group_' || md5(p_group), '') $function$;

        -- Called on the member's own connection, whose lock is the sign of its life.
        CREATE FUNCTION userllm_log.join_group(p_group text, p_name text, p_topics int4[], p_session int8)
        RETURNS int4 LANGUAGE plpgsql AS $function$
        DECLARE
            member int4 := nextval(pg_get_serial_sequence('userllm_log.members', 'id'));
        BEGIN
            PERFORM pg_advisory_lock(\(GroupMember.lockClass), member);
            INSERT INTO userllm_log.members (id, group_name, name, topic_ids, session_milliseconds)
                OVERRIDING SYSTEM VALUE VALUES (member, p_group, p_name, p_topics, p_session);
            INSERT INTO userllm_log.group_offsets (group_name, partition_id)
                SELECT p_group, id FROM userllm_log.partitions WHERE topic_id = ANY (p_topics) ORDER BY id
                ON CONFLICT DO NOTHING;
            PERFORM userllm_log.group_notify(p_group);
            RETURN member;
        END $function$;

        CREATE FUNCTION userllm_log.leave_group(p_group text, p_member int4) RETURNS void LANGUAGE plpgsql AS $function$
        BEGIN
            PERFORM userllm_log.group_lock(p_group);
            PERFORM FROM userllm_log.group_offsets WHERE group_name = p_group AND owner = p_member
                ORDER BY partition_id FOR NO KEY UPDATE;
            UPDATE userllm_log.group_offsets SET owner = NULL, epoch = epoch + 1
                WHERE group_name = p_group AND owner = p_member;
            DELETE FROM userllm_log.members WHERE id = p_member;
            PERFORM userllm_log.group_notify(p_group);
        END $function$;

        -- Gives up p_release, frees the partitions of dead members, takes free ones up to this member's share, and gives
        -- what the member owns now. quota: how many partitions of the row's topic it should own.
        CREATE FUNCTION userllm_log.share_partitions(p_group text, p_member int4, p_release int4[])
        RETURNS TABLE (partition_id int4, epoch int8, next_offset int8, low_offset int8, quota int4)
        LANGUAGE plpgsql AS $function$
        #variable_conflict use_column
        DECLARE
            own_topics int4[];
            dead int4[];
            topic int4;
            member_count int4;
            rank int4;
            partition_count int4;
            quotas int4[] := '{}';
            share int4;
            owned int4;
            is_changed bool := cardinality(p_release) > 0;
        BEGIN
            PERFORM userllm_log.group_lock(p_group);
            UPDATE userllm_log.members m SET heartbeat_at = clock_timestamp()
                WHERE m.id = p_member RETURNING m.topic_ids INTO own_topics;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'member % was not heard of and lost its partitions', p_member USING ERRCODE = 'UL002';
            END IF;

            -- Dead: its connection's lock is gone. Stopped: the connection is there, but the heart does not beat.
            SELECT array_agg(m.id) INTO dead FROM userllm_log.members m
                WHERE m.group_name = p_group AND m.id <> p_member
                    AND (m.heartbeat_at < clock_timestamp() - m.session_milliseconds * interval '1 millisecond'
                        OR pg_try_advisory_xact_lock(\(GroupMember.lockClass), m.id));
            IF dead IS NOT NULL THEN
                PERFORM FROM userllm_log.group_offsets g WHERE g.group_name = p_group AND g.owner = ANY (dead)
                    ORDER BY g.partition_id FOR NO KEY UPDATE;
                UPDATE userllm_log.group_offsets g SET owner = NULL, epoch = g.epoch + 1
                    WHERE g.group_name = p_group AND g.owner = ANY (dead);
                DELETE FROM userllm_log.members m WHERE m.id = ANY (dead);
                is_changed := true;
            END IF;
            UPDATE userllm_log.group_offsets g SET owner = NULL, epoch = g.epoch + 1
                WHERE g.group_name = p_group AND g.owner = p_member AND g.partition_id = ANY (p_release);

            FOREACH topic IN ARRAY own_topics LOOP
                SELECT count(*), count(*) FILTER (WHERE m.id < p_member) INTO member_count, rank
                    FROM userllm_log.members m WHERE m.group_name = p_group AND topic = ANY (m.topic_ids);
                SELECT t.partition_count INTO partition_count FROM userllm_log.topics t WHERE t.id = topic;
                -- Which members get one more differs from topic to topic, so that no member gets all of them.
                share := partition_count / member_count
                    + CASE WHEN (rank + topic) % member_count < partition_count % member_count THEN 1 ELSE 0 END;
                quotas := quotas || share;
                SELECT count(*) INTO owned
                    FROM userllm_log.group_offsets g JOIN userllm_log.partitions p ON p.id = g.partition_id
                    WHERE g.group_name = p_group AND p.topic_id = topic AND g.owner = p_member;
                IF owned < share THEN
                    UPDATE userllm_log.group_offsets g SET owner = p_member, epoch = g.epoch + 1
                        WHERE g.group_name = p_group AND g.owner IS NULL AND g.partition_id IN (
                            SELECT f.partition_id
                            FROM userllm_log.group_offsets f JOIN userllm_log.partitions p ON p.id = f.partition_id
                            WHERE f.group_name = p_group AND p.topic_id = topic AND f.owner IS NULL
                                AND f.partition_id <> ALL (p_release)
                            ORDER BY f.partition_id LIMIT share - owned);
                END IF;
            END LOOP;
            IF is_changed THEN
                PERFORM userllm_log.group_notify(p_group);
            END IF;
            RETURN QUERY
                SELECT g.partition_id, g.epoch, g.next_offset, p.low_offset,
                    quotas[array_position(own_topics, p.topic_id)]
                FROM userllm_log.group_offsets g JOIN userllm_log.partitions p ON p.id = g.partition_id
                WHERE g.group_name = p_group AND g.owner = p_member AND p.topic_id = ANY (own_topics)
                ORDER BY g.partition_id;
        END $function$;
        """
}
