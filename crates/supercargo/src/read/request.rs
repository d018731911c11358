//! What is asked of the world.

use supercargo_plan::problem::Problem;

use super::place::Place;

/// What is to be read.
#[derive(Clone)]
pub struct Request<'a> {
    /// Where the question was asked.
    pub place: &'a Place,
    /// What to compare with, or why nobody knows.
    pub base: Result<&'a str, Problem>,
    /// The commit to compare; the working tree where there is none.
    pub head: Option<&'a str>,
    /// The platform whose edges alone count.
    pub target: Option<&'a str>,
    /// Whether a base that cannot be read is no fault.
    pub or_all: bool,
}
