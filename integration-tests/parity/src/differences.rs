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
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        case: "sockets::half_a_second_of_linger",
        ours: "ok; 1s",
        reason: "the kernel makes zero of it, so that a program that wants to wait a little for its \
                 data to be delivered loses it by a reset",
    },
    Difference {
        case: "tasks::tries_to_read_after_readiness_let_others_run",
        ours: "once a budget",
        reason: "a task whose stream is always ready would otherwise keep all others from running",
    },
    Difference {
        case: "tasks::waiting_to_be_ready_lets_others_run",
        ours: "once a budget",
        reason: "as above",
    },
];

/// The difference that is declared for a case.
#[must_use]
pub fn of(case: &str) -> Option<&'static Difference> {
    DIFFERENCES
        .iter()
        .find(|difference| difference.case == case)
}
