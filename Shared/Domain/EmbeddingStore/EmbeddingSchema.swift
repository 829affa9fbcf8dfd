import PostgresClient

extension SchemaMigration {
    /// The table that the language model reads, and the writers' offsets beside it.
    static let embeddings = SchemaMigration(
        name: "the embeddings",
        schema: "public",
        versionTable: "user_embeddings_version",
        lock: 0x5553_4C4C_0003,
        steps: [embeddingTables + embeddingFunctions, changes, appendTimes, seenItems, writing]
    )

    private static let embeddingTables = """
        CREATE TABLE public.user_embeddings (
            user_id text NOT NULL,
            model_version text NOT NULL,
            generation int4 NOT NULL,
            event_count int8 NOT NULL,
            source_partition int4 NOT NULL,
            source_offset int8 NOT NULL,
            event_time int8 NOT NULL,
            context_rows int4 NOT NULL,
            context_columns int4 NOT NULL,
            -- context_rows * context_columns numbers, row-major, 32 bits of IEEE 754 each, little-endian
            context bytea NOT NULL,
            pooled real[] NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (user_id, model_version),
            CONSTRAINT context_has_its_shape CHECK (octet_length(context) = 4 * context_rows * context_columns)
        ) WITH (fillfactor = 60, toast_tuple_target = 8160);
        ALTER TABLE public.user_embeddings ALTER context SET STORAGE EXTERNAL, ALTER pooled SET STORAGE EXTERNAL;

        CREATE TABLE public.user_embeddings_offsets (
            group_name text NOT NULL,
            topic text NOT NULL,
            partition int4 NOT NULL,
            next_offset int8,
            owner text,
            PRIMARY KEY (group_name, topic, partition)
        ) WITH (fillfactor = 20);

        """

    /// Notifies the sessions that wait for a user's row that rows have changed.
    ///
    /// A notification makes commits wait for each other, so none is sent while nobody waits. A waiter holds the lock in
    /// shared mode and reads the row once it has the lock. A writer that got the lock exclusively found no waiter, and
    /// has committed before anybody can start to wait.
    private static let changes = """
        CREATE FUNCTION public.userllm_embeddings_changed() RETURNS trigger LANGUAGE plpgsql AS $function$
        BEGIN
            IF NOT pg_try_advisory_xact_lock(\(EmbeddingWatch.lock)) THEN
                PERFORM pg_notify('\(EmbeddingWatch.channel)', '');
            END IF;
            RETURN NULL;
        END $function$;
        CREATE TRIGGER user_embeddings_changed AFTER INSERT OR UPDATE ON public.user_embeddings
            FOR EACH STATEMENT EXECUTE FUNCTION public.userllm_embeddings_changed();
        """

    private static let embeddingFunctions = """
        -- Makes p_owner the only one whose writes are taken, after those that are on their way.
        CREATE FUNCTION public.userllm_claim_partitions(p_group text, p_owner text, p_topics text[], p_partitions int4[])
        RETURNS TABLE (topic text, partition int4, next_offset int8) LANGUAGE plpgsql AS $function$
        #variable_conflict use_column
        BEGIN
            INSERT INTO public.user_embeddings_offsets (group_name, topic, partition)
                SELECT p_group, c.topic, c.partition FROM unnest(p_topics, p_partitions) c (topic, partition)
                ORDER BY c.topic, c.partition ON CONFLICT DO NOTHING;
            PERFORM FROM public.user_embeddings_offsets o
                WHERE o.group_name = p_group
                    AND (o.topic, o.partition) IN (SELECT * FROM unnest(p_topics, p_partitions))
                ORDER BY o.topic, o.partition FOR NO KEY UPDATE;
            RETURN QUERY UPDATE public.user_embeddings_offsets o SET owner = p_owner
                FROM unnest(p_topics, p_partitions) c (topic, partition)
                WHERE o.group_name = p_group AND o.topic = c.topic AND o.partition = c.partition
                RETURNING o.topic, o.partition, o.next_offset;
        END $function$;
        """

    /// Renames the column `event_time`, which holds the time at which an event was appended.
    private static let appendTimes = """
        ALTER TABLE public.user_embeddings RENAME COLUMN event_time TO appended_at;
        DROP FUNCTION IF EXISTS public.userllm_write_embeddings(
            text, text, text[], int4[], int8[], int8[], text[], text[], text[], int4[], int8[], int4[], int8[], int8[], int4[],
            int4[], bytea[], float4[], int4[], int4[]);
        """

    /// Adds the items that a user has had; of the rows that are there none are known.
    private static let seenItems = """
        -- Numbers of the version's catalogue, ascending, as varints: the first, then the steps from one to the next.
        ALTER TABLE public.user_embeddings ADD COLUMN seen_items bytea NOT NULL DEFAULT '';
        ALTER TABLE public.user_embeddings ALTER seen_items SET STORAGE EXTERNAL;
        DROP FUNCTION IF EXISTS public.userllm_write_embeddings(
            text, text, text[], int4[], int8[], int8[], text[], text[], text[], int4[], int8[], int4[], int8[], int8[], int4[],
            int4[], bytea[], float4[], int4[], int4[]);
        """

    /// Creates the function that writes rows, which names all columns.
    ///
    /// It reads its arrays by number. `unnest` of several arrays would first store each of them whole, and on disk when a
    /// batch's rows are more than `work_mem`.
    private static let writing = """
        -- Rows, deletions and offsets together. The fence comes first: who is refused has locked no row. Deletions come
        -- before rows. pooled: all vectors one after another; of row n the p_pooled_counts[n] numbers up to p_pooled_ends[n].
        CREATE OR REPLACE FUNCTION public.userllm_write_embeddings(
            p_group text, p_owner text, p_topics text[], p_partitions int4[], p_expected int8[], p_next int8[],
            p_deletions text[], p_users text[], p_versions text[], p_generations int4[], p_event_counts int8[],
            p_source_partitions int4[], p_source_offsets int8[], p_append_times int8[], p_rows int4[], p_columns int4[],
            p_contexts bytea[], p_pooled float4[], p_pooled_ends int4[], p_pooled_counts int4[],
            p_seen_items bytea[]
        ) RETURNS int8 LANGUAGE plpgsql AS $function$
        DECLARE
            changed int8;
        BEGIN
            PERFORM FROM public.user_embeddings_offsets o
                WHERE o.group_name = p_group
                    AND (o.topic, o.partition) IN (SELECT * FROM unnest(p_topics, p_partitions))
                ORDER BY o.topic, o.partition FOR NO KEY UPDATE;
            UPDATE public.user_embeddings_offsets o SET next_offset = c.next
                FROM unnest(p_topics, p_partitions, p_expected, p_next) c (topic, partition, expected, next)
                WHERE o.group_name = p_group AND o.topic = c.topic AND o.partition = c.partition
                    AND o.owner = p_owner AND o.next_offset IS NOT DISTINCT FROM c.expected;
            GET DIAGNOSTICS changed = ROW_COUNT;
            IF changed <> cardinality(p_topics) THEN
                RAISE EXCEPTION '% of % partitions have another owner or another offset than expected',
                    cardinality(p_topics) - changed, cardinality(p_topics) USING ERRCODE = 'UL001';
            END IF;
            IF cardinality(p_deletions) > 0 THEN
                PERFORM FROM public.user_embeddings e WHERE e.user_id = ANY (p_deletions)
                    ORDER BY e.user_id, e.model_version FOR UPDATE;
                DELETE FROM public.user_embeddings e WHERE e.user_id = ANY (p_deletions);
            END IF;
            -- A slice of p_pooled itself would copy the whole of it for each row: PL/pgSQL keeps arrays in pieces.
            WITH f AS MATERIALIZED (SELECT p_pooled AS pooled)
            INSERT INTO public.user_embeddings AS e (
                user_id, model_version, generation, event_count, source_partition, source_offset, appended_at,
                context_rows, context_columns, context, pooled, seen_items)
            SELECT p_users[n], p_versions[n], p_generations[n], p_event_counts[n], p_source_partitions[n],
                p_source_offsets[n], p_append_times[n], p_rows[n], p_columns[n], p_contexts[n],
                coalesce(f.pooled[p_pooled_ends[n] - p_pooled_counts[n] + 1 : p_pooled_ends[n]], '{}'), p_seen_items[n]
            FROM f CROSS JOIN generate_series(1, cardinality(p_users)) n
            ON CONFLICT (user_id, model_version) DO UPDATE SET
                generation = EXCLUDED.generation, event_count = EXCLUDED.event_count,
                source_partition = EXCLUDED.source_partition, source_offset = EXCLUDED.source_offset,
                appended_at = EXCLUDED.appended_at, context_rows = EXCLUDED.context_rows,
                context_columns = EXCLUDED.context_columns, context = EXCLUDED.context, pooled = EXCLUDED.pooled,
                seen_items = EXCLUDED.seen_items, updated_at = now()
            -- The newest event count wins, whatever order records come in.
            WHERE (e.generation, e.event_count) < (EXCLUDED.generation, EXCLUDED.event_count);
            GET DIAGNOSTICS changed = ROW_COUNT;
            RETURN changed;
        END $function$;
        """
}
