//! Citations in comments: `MUST-12` of RFC 9293, `RFC 5961 3.2` or `RFC 2018 3 and 4.1` of any RFC.

use std::sync::LazyLock;

use regex::Regex;

/// The reference of a comment to a requirement or section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Citation {
    /// A requirement of RFC 9293 by its name there.
    Requirement(String),
    /// A section of an RFC.
    Section {
        /// The RFC's number.
        rfc: u32,
        /// The section's number.
        section: String,
    },
}

static REQUIREMENT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:MUST|SHLD|MAY|REC)-\d+\b").expect("a pattern"));

static SECTIONS: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"\d+(?:\.\d+)*";
    let more = r"(?:, and |, | and )\d+(?:\.\d+)+";
    Regex::new(&format!(
        r"\bRFC (?<rfc>\d+)(?:,? sections?)? (?<list>{number}(?:{more})*)\b"
    ))
    .expect("a pattern")
});

static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+(?:\.\d+)*").expect("a pattern"));

/// The citations in the comment of a line.
pub fn in_line(line: &str) -> Vec<Citation> {
    let Some(at) = line.find("//") else {
        return Vec::new();
    };
    let comment = &line[at..];
    let requirements = REQUIREMENT
        .find_iter(comment)
        .map(|found| Citation::Requirement(found.as_str().to_owned()));
    let sections = SECTIONS.captures_iter(comment).flat_map(|found| {
        let rfc = found["rfc"].parse().unwrap_or(0);
        NUMBER
            .find_iter(&found["list"])
            .map(|section| Citation::Section {
                rfc,
                section: section.as_str().to_owned(),
            })
            .collect::<Vec<_>>()
    });
    requirements.chain(sections).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(rfc: u32, section: &str) -> Citation {
        Citation::Section {
            rfc,
            section: section.to_owned(),
        }
    }

    #[test]
    fn a_requirement_is_cited_by_its_name() {
        assert_eq!(
            in_line("    // MUST-66, and (SHLD-2) but no MUSTARD-7"),
            [
                Citation::Requirement("MUST-66".into()),
                Citation::Requirement("SHLD-2".into())
            ]
        );
    }

    #[test]
    fn sections_are_cited_by_number_alone_or_in_lists() {
        assert_eq!(
            in_line("/// RFC 7323 2.2 and 3.2, RFC 5961 section 7: see."),
            [
                section(7323, "2.2"),
                section(7323, "3.2"),
                section(5961, "7")
            ]
        );
    }

    #[test]
    fn code_cites_nothing() {
        assert_eq!(in_line(r#"let it = "MUST-1, RFC 9293 3.1";"#), []);
    }

    #[test]
    fn a_whole_rfc_is_not_a_section() {
        assert_eq!(in_line("// RFC 6191, RFC 1337 and more"), []);
    }
}
