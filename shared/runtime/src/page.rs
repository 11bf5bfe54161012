//! One page of a list, in requests and answers (AIP-158).
//!
//! A list is ordered by id, newest first. Its query reads [`Page::limit`] rows before [`Page::before`]; [`Page::cut`]
//! builds the answer.

use uuid::Uuid;

use crate::page_token::PageTokens;
use crate::status::Violations;

const DEFAULT_SIZE: u64 = 50;
const MAX_SIZE: u64 = 1000;

/// The requested page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    size: u64,
    /// The last id of the previous page; none for the first page.
    pub before: Option<Uuid>,
    list: String,
}

impl Page {
    /// Reads `page_size` and `page_token` of a request. `list` is the method with all its filters: a token of another
    /// list is a violation.
    pub fn read(
        page_size: i32,
        page_token: &str,
        list: String,
        tokens: &PageTokens,
        violations: &mut Violations,
    ) -> Self {
        let size = match u64::try_from(page_size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => {
                violations.add("page_size", "must not be negative");
                DEFAULT_SIZE
            }
        };
        let read = (!page_token.is_empty()).then(|| tokens.read(page_token, &list));
        if let Some(Err(_)) = read {
            violations.add(
                "page_token",
                "must be the next_page_token of an answer to the same filter",
            );
        }
        let before = read.and_then(Result::ok);
        Self { size, before, list }
    }

    /// The number of rows to query: one more than requested, to detect a next page.
    pub fn limit(&self) -> u64 {
        self.size + 1
    }

    /// The rows of the page, and the token of the next page, empty at the end.
    pub fn cut<T>(
        &self,
        mut found: Vec<T>,
        id: impl Fn(&T) -> Uuid,
        tokens: &PageTokens,
    ) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let has_more = found.len() > size;
        found.truncate(size);
        let next = match found.last() {
            Some(last) if has_more => self.after(id(last), tokens),
            _ => String::new(),
        };
        (found, next)
    }

    /// The token of the page after `last`, for a list with pages that may be shorter than requested.
    pub fn after(&self, last: Uuid, tokens: &PageTokens) -> String {
        tokens.issue(last, &self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_token::new_key;

    fn tokens() -> PageTokens {
        PageTokens::new(&new_key().unwrap()).unwrap()
    }

    #[test]
    fn the_size_has_a_default_and_a_greatest_value() {
        let (tokens, mut violations) = (tokens(), Violations::new());
        for (asked, limit) in [(0, 51), (1, 2), (1000, 1001), (i32::MAX, 1001)] {
            let page = Page::read(asked, "", "L".to_owned(), &tokens, &mut violations);
            assert_eq!((page.limit(), page.before), (limit, None));
        }
        assert!(violations.is_empty());
        Page::read(-1, "", "L".to_owned(), &tokens, &mut violations);
        assert!(!violations.is_empty());
    }

    #[test]
    fn the_next_page_begins_after_this_one_in_the_same_list_only() {
        let (tokens, mut violations) = (tokens(), Violations::new());
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        let page = Page::read(2, "", "L a".to_owned(), &tokens, &mut violations);
        let (answered, next) = page.cut(ids.clone(), |id| *id, &tokens);
        assert_eq!(answered, ids[..2]);
        let page = Page::read(2, &next, "L a".to_owned(), &tokens, &mut violations);
        assert_eq!(page.before, Some(ids[1]));
        assert_eq!(page.cut(vec![ids[2]], |id| *id, &tokens).1, "");
        assert!(violations.is_empty());
        Page::read(2, &next, "L b".to_owned(), &tokens, &mut violations);
        assert!(!violations.is_empty());
    }
}
