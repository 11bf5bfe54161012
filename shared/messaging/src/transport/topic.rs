//! Topic patterns, with the meaning that they have in AMQP 0-9-1.

/// `*` is exactly one word, `#` is none or more.
pub(crate) fn matches(pattern: &str, routing_key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = routing_key.split('.').collect();
    words_match(&pattern, &key)
}

fn words_match(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"#", rest)), _) => (0..=key.len()).any(|taken| words_match(rest, &key[taken..])),
        (Some(_), None) => false,
        (Some((&word, pattern)), Some((&first, key))) => {
            (word == "*" || word == first) && words_match(pattern, key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn words_stars_and_hashes_mean_what_amqp_says() {
        for (pattern, key, expected) in [
            ("user.created", "user.created", true),
            ("user.created", "user.deleted", false),
            ("user.*", "user.created", true),
            ("user.*", "user", false),
            ("user.*", "user.created.v2", false),
            ("user.#", "user", true),
            ("user.#", "user.created.v2", true),
            ("user.#", "users.created", false),
            ("#", "anything.at.all", true),
            ("#.created", "created", true),
            ("#.created", "a.b.created", true),
            ("*.#.x", "a.x", true),
            ("*.#.x", "x", false),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} {key}");
        }
    }
}
