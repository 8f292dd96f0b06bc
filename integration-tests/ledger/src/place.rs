//! The item to which a comment belongs: the following item, or otherwise the enclosing one.
//!
//! Sources are formatted, so indentation shows the nesting, also inside macros.

use std::sync::LazyLock;

use regex::Regex;

static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^\s*(?:pub(?:\([^)]*\))? )?(?:(?:async|const|unsafe|default|extern) )*",
        r"(?<kind>fn|struct|enum|trait|union|type|const|static|mod|macro_rules!|impl)",
        r"(?:<[^{]*>)? (?:[\w:<>', ]+ for )?(?:mut )?(?<name>\w+)",
    ))
    .expect("a pattern")
});

/// The name of the item to which line `at` (from 0) of `lines` belongs; `None` for the whole file.
pub(crate) fn item(lines: &[&str], at: usize) -> Option<String> {
    if lines[at].trim_start().starts_with("//!") {
        return around(lines, at);
    }
    let next = lines[at..]
        .iter()
        .find(|line| !is_prelude(line))
        .and_then(|line| name(line));
    next.or_else(|| around(lines, at))
}

/// Whether the line is a comment or an attribute, which precede their item.
fn is_prelude(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") || line.starts_with("#[")
}

/// The nearest line above that has a smaller indentation and begins an item other than a module.
fn around(lines: &[&str], at: usize) -> Option<String> {
    let mut depth = indent(lines[at]);
    for line in lines[..at].iter().rev() {
        if line.trim().is_empty() || indent(line) >= depth {
            continue;
        }
        depth = indent(line);
        if let Some(found) = name(line) {
            return Some(found);
        }
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn name(line: &str) -> Option<String> {
    let found = ITEM.captures(line)?;
    (&found["kind"] != "mod").then(|| found["name"].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! The file.

/// A doc.
#[derive(Debug)]
pub(crate) struct Thing {
    /// A field.
    field: u8,
}

impl<T> From<T> for Thing {
    // Before the function.
    pub const fn work(&self) -> u8 {
        if true {
            // Within.
            1
        }
    }
}

proptest! {
    #[test]
    fn holds(x in 0..3) {
        // In a macro.
    }
}

mod tests {
    // In a module.
}
";

    fn of(comment: &str) -> Option<String> {
        let lines: Vec<_> = SOURCE.lines().collect();
        let at = lines.iter().position(|line| line.contains(comment));
        item(&lines, at.expect("a line with that comment"))
    }

    #[test]
    fn a_comment_belongs_to_the_following_or_the_enclosing_item() {
        assert_eq!(of("The file"), None);
        assert_eq!(of("A doc").as_deref(), Some("Thing"));
        assert_eq!(of("A field").as_deref(), Some("Thing"));
        assert_eq!(of("Before the function").as_deref(), Some("work"));
        assert_eq!(of("Within").as_deref(), Some("work"));
        assert_eq!(of("In a macro").as_deref(), Some("holds"));
        assert_eq!(of("In a module"), None);
    }
}
