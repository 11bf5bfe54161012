//! Replaces the words in which the dialects of PostgreSQL and SQLite differ.
//!
//! An unknown word stays, with its braces, so the database refuses the statement and names it.

use sea_orm::DbBackend;

use crate::clock;

pub(crate) fn fill(sql: &str, backend: DbBackend) -> String {
    let mut filled = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((word, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            break;
        };
        match meaning(word, backend) {
            Some(meaning) => filled.push_str(&meaning),
            None => filled.extend(["{", word, "}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn meaning(word: &str, backend: DbBackend) -> Option<String> {
    match backend {
        DbBackend::Sqlite => in_sqlite(word),
        _ => in_postgres(word),
    }
}

fn in_sqlite(word: &str) -> Option<String> {
    let now = || clock::now_sql(DbBackend::Sqlite);
    Some(match word {
        "now" | "time" => now().to_owned(),
        "for update" | "skip locked" => String::new(),
        _ => match argument(word)? {
            ("time +", wait) => format!("({} + {wait})", now()),
            ("time -", wait) => format!("({} - {wait})", now()),
            ("in numbers", list) => format!("IN (SELECT value FROM json_each({list}))"),
            ("not in numbers" | "not in texts", list) => {
                format!("NOT IN (SELECT value FROM json_each({list}))")
            }
            ("pairs", list) => format!(
                "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each({list}))"
            ),
            ("list", list) => {
                let (list, columns) = list.split_once(": ")?;
                let columns = columns.split(", ").map(|column| {
                    let name = column.split(' ').next().unwrap_or(column);
                    format!("value->>'{name}' AS {name}")
                });
                let columns: Vec<String> = columns.collect();
                format!(
                    "(SELECT {} FROM json_each({list})) AS list",
                    columns.join(", ")
                )
            }
            ("ms" | "uuid" | "text" | "time of", same) => same.to_owned(),
            _ => return None,
        },
    })
}

/// The elements of a JSON list as a table. Of an array the planner expects ten elements, of `json_array_elements` a
/// hundred: for a hundred rows it reads whole tables of some megabytes, for ten it uses their keys.
fn elements(list: &str) -> String {
    format!("unnest(ARRAY(SELECT jsonb_array_elements({list}::jsonb))) AS element (value)")
}

fn in_postgres(word: &str) -> Option<String> {
    let time = || clock::time_sql(DbBackend::Postgres);
    Some(match word {
        "now" => clock::now_sql(DbBackend::Postgres).to_owned(),
        "time" => time().to_owned(),
        "for update" => "FOR UPDATE".to_owned(),
        "skip locked" => "FOR UPDATE SKIP LOCKED".to_owned(),
        _ => match argument(word)? {
            ("time +", wait) => format!("({} + {wait} * interval '1 millisecond')", time()),
            ("time -", wait) => format!("({} - {wait} * interval '1 millisecond')", time()),
            ("time of", ms) => format!("(timestamptz 'epoch' + {ms} * interval '1 millisecond')"),
            ("ms", column) => format!("(extract(epoch from {column}) * 1000)::bigint"),
            ("uuid", text) => format!("{text}::uuid"),
            ("text", column) => format!("{column}::text"),
            // An array, because PostgreSQL plans a subquery of unknown size as a join with the whole table.
            ("in numbers", list) => format!(
                "= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text({list}::json)))"
            ),
            // A subquery, because PostgreSQL hashes it, but compares each row with each element of an array.
            ("not in numbers", list) => {
                format!("NOT IN (SELECT value::bigint FROM json_array_elements_text({list}::json))")
            }
            ("not in texts", list) => {
                format!("NOT IN (SELECT json_array_elements_text({list}::json))")
            }
            ("pairs", list) => {
                format!("(SELECT value->>0, value->>1 FROM {})", elements(list))
            }
            ("list", list) => {
                let (list, columns) = list.split_once(": ")?;
                let columns = columns.split(", ").map(|column| {
                    let (name, form) = column.split_once(' ').unwrap_or((column, "text"));
                    format!("(value->>'{name}')::{form} AS {name}")
                });
                let columns: Vec<String> = columns.collect();
                format!(
                    "(SELECT {} FROM {}) AS list",
                    columns.join(", "),
                    elements(list)
                )
            }
            _ => return None,
        },
    })
}

/// The longest word comes first, because `time + $1` begins like `time`.
fn argument(word: &str) -> Option<(&'static str, &str)> {
    const WORDS: [&str; 11] = [
        "time of",
        "time +",
        "time -",
        "ms",
        "uuid",
        "text",
        "in numbers",
        "not in numbers",
        "not in texts",
        "pairs",
        "list",
    ];
    WORDS.into_iter().find_map(|known| {
        let argument = word.strip_prefix(known)?.strip_prefix(' ')?;
        Some((known, argument))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_by_store() {
        let sql = "UPDATE t SET at = {time + $2} WHERE id = {uuid $1} AND n {in numbers $3}";
        assert_eq!(
            fill(sql, DbBackend::Postgres),
            "UPDATE t SET at = (date_trunc('milliseconds', statement_timestamp()) + $2 * interval '1 millisecond') \
             WHERE id = $1::uuid AND n = ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text($3::json)))"
        );
        assert_eq!(
            fill(sql, DbBackend::Sqlite),
            "UPDATE t SET at = (cast(unixepoch('subsec') * 1000 as integer) + $2) \
             WHERE id = $1 AND n IN (SELECT value FROM json_each($3))"
        );
    }

    #[test]
    fn a_list_has_columns_with_types_on_postgres() {
        let sql = "SELECT list.id FROM {list $1: id text, version bigint}";
        assert_eq!(
            fill(sql, DbBackend::Postgres),
            "SELECT list.id FROM (SELECT (value->>'id')::text AS id, (value->>'version')::bigint AS version \
             FROM unnest(ARRAY(SELECT jsonb_array_elements($1::jsonb))) AS element (value)) AS list"
        );
        assert_eq!(
            fill(sql, DbBackend::Sqlite),
            "SELECT list.id FROM (SELECT value->>'id' AS id, value->>'version' AS version FROM json_each($1)) AS list"
        );
    }

    #[test]
    fn a_word_that_is_not_known_stays() {
        for text in ["SELECT {nwo}", "SELECT '{", "SELECT '{}'", "SELECT {ms}"] {
            assert_eq!(fill(text, DbBackend::Postgres), text);
            assert_eq!(fill(text, DbBackend::Sqlite), text);
        }
    }
}
