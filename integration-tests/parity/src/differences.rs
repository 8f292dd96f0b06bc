//! The differences from the kernel that are kept, each with its reason.

/// A case in which millstream answers otherwise than the kernel.
pub struct Difference {
    /// `theme::name` of the case.
    pub case: &'static str,
    /// What millstream answers.
    pub ours: &'static str,
    /// Why that is better.
    pub reason: &'static str,
}

/// All differences.
pub const DIFFERENCES: &[Difference] = &[];

/// The difference that is declared for a case.
#[must_use]
pub fn of(case: &str) -> Option<&'static Difference> {
    DIFFERENCES
        .iter()
        .find(|difference| difference.case == case)
}
