//! What is to be done with an accessory, given what is there. Pure.

/// An accessory's container, as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name in the engine.
    pub container: String,
    /// Whether it runs.
    pub runs: bool,
    /// The digest of the settings that it was made with.
    pub settings: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is not there: make it.
    Create,
    /// It is there and does not run: start it as it is.
    Start,
    /// It runs.
    Leave,
}

/// What brings an accessory up. Other settings alone are no reason to touch it: a database is not restarted in passing.
pub fn bring_up(found: Option<&Found>) -> Action {
    match found {
        None => Action::Create,
        Some(found) if !found.runs => Action::Start,
        Some(_) => Action::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_left_alone() {
        let found = |runs| Found { container: "db".into(), runs, settings: "other".into() };
        assert_eq!(bring_up(None), Action::Create);
        assert_eq!(bring_up(Some(&found(false))), Action::Start);
        assert_eq!(bring_up(Some(&found(true))), Action::Leave);
    }
}
