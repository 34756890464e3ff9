"""Statements about passages in PostgreSQL, each of which says whose they are."""

from functools import lru_cache

from sqlalchemy import TextClause, text

PUT_FILES = """
    INSERT INTO keywords.files_{n} AS kept
    SELECT * FROM json_populate_recordset(NULL::keywords.files_{n}, CAST(:files AS json))
    ON CONFLICT (media_file_id, owner_id) DO UPDATE SET
        title = excluded.title, title_key = excluded.title_key, created_at = excluded.created_at,
        content_type = excluded.content_type, kind = excluded.kind,
        size_bytes = excluded.size_bytes, duration = excluded.duration,
        language = excluded.language, tags = excluded.tags, collections = excluded.collections
    WHERE kept IS DISTINCT FROM excluded
"""

# Lexemes of speakers are no words. In order, in which every writer locks them.
COUNTED = """
    changed AS (
        SELECT owner_id, stemmer, substr(lexeme, 4) COLLATE "C" AS word, sum(by) AS by
        FROM (
            SELECT owner_id, stemmer, by, unnest(tsvector_to_array(words)) AS lexeme FROM versions
            UNION ALL SELECT owner_id, stemmer, by, '' FROM versions
        ) AS each
        WHERE substr(lexeme, 4, 1) <> '@'
        GROUP BY 1, 2, 3 HAVING sum(by) <> 0
    ),
    counted AS (
        INSERT INTO keywords.words_{n} AS kept (owner_id, word, stemmer, stem, passages)
        SELECT
            owner_id, word, stemmer,
            coalesce((ts_lexize(CAST(stemmer AS regdictionary), word))[1], word), by
        FROM changed ORDER BY owner_id, word, stemmer
        ON CONFLICT (owner_id, word, stemmer)
            DO UPDATE SET passages = kept.passages + excluded.passages
        RETURNING kept.owner_id, kept.word, kept.stemmer, kept.passages
    )
"""

PASSAGES = """
    WITH given AS MATERIALIZED (
        SELECT fresh.* FROM json_populate_recordset(
            NULL::keywords.passages_{n}, CAST(:passages AS json)
        ) AS fresh
        LEFT JOIN keywords.passages_{n} AS kept ON kept.id = fresh.id
        WHERE fresh IS DISTINCT FROM kept
    ),
    versions AS (
        SELECT owner_id, stemmer, words, 1 AS by FROM given
        UNION ALL SELECT kept.owner_id, kept.stemmer, kept.words, -1
        FROM given JOIN keywords.passages_{n} AS kept USING (id)
    ),
    {counted},
    written AS (
        INSERT INTO keywords.passages_{n} SELECT * FROM given
        ON CONFLICT (id) DO UPDATE SET
            owner_id = excluded.owner_id, media_file_id = excluded.media_file_id,
            number = excluded.number, start_time = excluded.start_time,
            end_time = excluded.end_time, stemmer = excluded.stemmer,
            speakers = excluded.speakers, words = excluded.words, body = excluded.body
    )
    SELECT word, stemmer FROM counted WHERE passages <= 0
"""

GONE = """
    WITH gone AS (
        DELETE FROM keywords.passages_{n} WHERE id = ANY(ARRAY(
            SELECT id FROM keywords.passages_{n}
            WHERE owner_id = :owner
                AND (CAST(:file AS uuid) IS NULL OR media_file_id = CAST(:file AS uuid))
                AND id <> ALL(CAST(:keep AS uuid[]))
            LIMIT :most
        ))
        RETURNING owner_id, stemmer, words
    ),
    versions AS (SELECT owner_id, stemmer, words, -1 AS by FROM gone),
    {counted}
    SELECT word, stemmer, 0 FROM counted WHERE passages <= 0
    UNION ALL SELECT NULL, NULL, count(*) FROM gone
"""

UNSAID = """
    DELETE FROM keywords.words_{n} USING unnest(CAST(:words AS text[]), CAST(:stemmers AS text[]))
        AS unsaid (word, stemmer)
    WHERE words_{n}.owner_id = :owner AND words_{n}.word = unsaid.word
        AND words_{n}.stemmer = unsaid.stemmer
"""

EMPTY_FILES = """
    DELETE FROM keywords.files_{n} AS file
    WHERE owner_id = :owner
        AND (CAST(:file AS uuid) IS NULL OR media_file_id = CAST(:file AS uuid))
        AND NOT EXISTS (
            SELECT FROM keywords.passages_{n} AS left_over
            WHERE left_over.owner_id = file.owner_id
                AND left_over.media_file_id = file.media_file_id
        )
"""

# A word as it is written has its own stem, so that one condition finds both.
FORMS = """
    SELECT asked.word, said.word, sum(said.passages)
    FROM unnest(CAST(:words AS text[])) AS asked (word)
    CROSS JOIN (
        SELECT stemmer FROM keywords.words_{n} WHERE owner_id = :owner AND word = ''
    ) AS languages
    JOIN keywords.words_{n} AS said
        ON said.owner_id = :owner AND said.stemmer = languages.stemmer
        AND said.stem = coalesce(
            (ts_lexize(CAST(languages.stemmer AS regdictionary), asked.word))[1], asked.word
        ) COLLATE "C"
    WHERE said.word <> ''
    GROUP BY 1, 2
    UNION ALL
    SELECT '', '', coalesce(sum(passages), 0) FROM keywords.words_{n}
    WHERE owner_id = :owner AND word = ''
"""

BEGUN = """
    SELECT word, sum(passages), sum(sum(passages)) OVER () FROM keywords.words_{n}
    WHERE owner_id = :owner AND word >= :first AND word < :last
    GROUP BY word ORDER BY 2 DESC, 1 LIMIT :most
"""

# With one error either the first letters are right or the last ones; so that there is a range of
# an index to look at. Two letters that change places are two errors here, and one in the end.
MISTYPED = """
    SELECT asked.word, near.word, near.passages
    FROM unnest(
        CAST(:words AS text[]), CAST(:heads AS text[]), CAST(:tails AS text[]),
        CAST(:errors AS integer[])
    ) AS asked (word, head, tail, errors)
    CROSS JOIN LATERAL (
        SELECT said.word, sum(said.passages) AS passages
        FROM (
            SELECT word, stemmer, passages FROM keywords.words_{n}
            WHERE owner_id = :owner AND word >= asked.head AND word < asked.head || :after
            UNION
            SELECT word, stemmer, passages FROM keywords.words_{n}
            WHERE owner_id = :owner AND backwards >= asked.tail
                AND backwards < asked.tail || :after
        ) AS said
        WHERE char_length(said.word) BETWEEN char_length(asked.word) - asked.errors
            AND char_length(asked.word) + asked.errors
            AND said.word <> asked.word
            AND levenshtein_less_equal(said.word, asked.word, asked.errors + 1) <= asked.errors + 1
        GROUP BY said.word
        ORDER BY levenshtein(said.word, asked.word), 2 DESC LIMIT :most
    ) AS near
"""

SHOWN = """
    passage.id, passage.media_file_id, passage.number, passage.start_time, passage.end_time,
    passage.body, passage.speakers, file.title
"""

# The owner is part of each lexeme that is asked for, by which the index finds few; the condition on
# him besides is so written that no other index seems better.
BY_WORDS = """
    (owner_id = :owner) IS TRUE AND words @@ CAST(:question AS tsquery)
"""
# Most passages answer: there are soon enough, whatever is read.
BY_OWNER = """
    owner_id = :owner AND (words @@ CAST(:question AS tsquery)) IS TRUE
"""
BY_FILES = """
    owner_id = :owner AND media_file_id = ANY(CAST(:files AS uuid[]))
    AND words @@ CAST(:question AS tsquery)
"""

FIND = """
    SELECT {shown}, best.score
    FROM (
        SELECT candidate.id, candidate.media_file_id, candidate.number, (
            SELECT sum(part.weight * least(
                1, part.words * ts_rank(CAST(:weights AS real[]), candidate.words, part.question)
            ))
            FROM unnest(
                CAST(CAST(:questions AS text[]) AS tsquery[]),
                CAST(:shares AS double precision[]), CAST(:counts AS integer[])
            ) AS part (question, weight, words)
        ) + coalesce(CAST(:nearness AS double precision) * (
            least(1, ts_rank(CAST(:weights AS real[]), candidate.words, CAST(:near AS tsquery)))
            + (
                SELECT coalesce(avg(CAST(candidate.words @@ pair.question AS integer)), 0)
                FROM unnest(CAST(CAST(:pairs AS text[]) AS tsquery[])) AS pair (question)
            )
        ), 0) AS score
        FROM (
            SELECT id, media_file_id, number, words FROM keywords.passages_{n}
            WHERE {conditions} LIMIT :ranked
        ) AS candidate
        ORDER BY score DESC, media_file_id, number LIMIT :most
    ) AS best
    JOIN keywords.passages_{n} AS passage ON passage.id = best.id
    JOIN keywords.files_{n} AS file
        ON file.media_file_id = best.media_file_id AND file.owner_id = :owner
    ORDER BY best.score DESC, best.media_file_id, best.number
"""
FIND_BY_WORDS = FIND.replace("{conditions}", BY_WORDS)
FIND_BY_OWNER = FIND.replace("{conditions}", BY_OWNER)
FIND_BY_FILES = FIND.replace("{conditions}", BY_FILES)

OF_FILES = """
    file.owner_id = :owner
    AND (CAST(:ids AS uuid[]) IS NULL OR file.media_file_id = ANY(CAST(:ids AS uuid[])))
    AND file.tags @> CAST(:tags AS text[])
    AND (CAST(:collection AS uuid) IS NULL OR CAST(:collection AS uuid) = ANY(file.collections))
    AND (CAST(:from_date AS timestamptz) IS NULL OR file.created_at >= :from_date)
    AND (CAST(:before_date AS timestamptz) IS NULL OR file.created_at < :before_date)
    AND (CAST(:min_duration AS double precision) IS NULL OR file.duration >= :min_duration)
    AND (CAST(:max_duration AS double precision) IS NULL OR file.duration <= :max_duration)
    AND (CAST(:min_size AS bigint) IS NULL OR file.size_bytes >= :min_size)
    AND (CAST(:max_size AS bigint) IS NULL OR file.size_bytes <= :max_size)
    AND (
        CAST(:types AS text[]) IS NULL
        OR file.content_type = ANY(CAST(:types AS text[]))
        OR file.kind = ANY(CAST(:types AS text[]))
    )
    AND (CAST(:language AS text) IS NULL OR file.language = :language)
    AND (CAST(:title AS text) IS NULL OR strpos(file.title_key, :title) > 0)
"""
FILES = "SELECT file.media_file_id FROM keywords.files_{n} AS file WHERE {of_files}"

BROWSE = """
    SELECT {shown}, CAST(1 AS double precision) AS score
    FROM keywords.files_{n} AS file JOIN keywords.passages_{n} AS passage
        ON passage.owner_id = :owner AND passage.media_file_id = file.media_file_id
    WHERE {of_files}
    ORDER BY file.created_at DESC, file.media_file_id, passage.number LIMIT :most
"""
SPOKEN = """
    SELECT {shown}, CAST(1 AS double precision) AS score
    FROM (
        SELECT id FROM keywords.passages_{n} WHERE {conditions} LIMIT :ranked
    ) AS candidate
    JOIN keywords.passages_{n} AS passage ON passage.id = candidate.id
    JOIN keywords.files_{n} AS file
        ON file.media_file_id = passage.media_file_id AND file.owner_id = :owner
    ORDER BY file.created_at DESC, file.media_file_id, passage.number LIMIT :most
"""
SPOKEN_BY_WORDS = SPOKEN.replace("{conditions}", BY_WORDS)
SPOKEN_BY_FILES = SPOKEN.replace("{conditions}", BY_FILES)

COUNTED_FILES = """
    SELECT file.media_file_id, sum((
        SELECT count(*) FROM keywords.passages_{n} AS passage
        WHERE passage.owner_id = file.owner_id AND passage.media_file_id = file.media_file_id
    ))
    FROM (
        SELECT DISTINCT media_file_id FROM keywords.files_{n}
        WHERE CAST(:after AS uuid) IS NULL OR media_file_id > :after ORDER BY 1 LIMIT :most
    ) AS page
    JOIN keywords.files_{n} AS file ON file.media_file_id = page.media_file_id
    GROUP BY 1
"""
COUNT = """
    SELECT count(*) FROM keywords.passages_{n}
    WHERE CAST(:owner AS uuid) IS NULL OR owner_id = :owner
"""
OWNED = """
    SELECT owner_id, media_file_id FROM keywords.files_{n}
    WHERE media_file_id = ANY(CAST(:files AS uuid[]))
"""

PIECES = {
    "{shown}": SHOWN,
    "{of_files}": OF_FILES,
    "{counted}": COUNTED,
}


@lru_cache(maxsize=256)
def statement(template: str, number: int) -> TextClause:
    """A statement about the tables of an index; one object for each, by which it is kept."""
    for name, piece in PIECES.items():
        template = template.replace(name, piece)
    return text(template.replace("{n}", str(number)))
