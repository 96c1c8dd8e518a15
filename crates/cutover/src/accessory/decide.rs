//! What is to be done with an accessory, given what is there. Pure.

use cutover_core::ServiceName;
use cutover_core::spec::AccessorySpec;

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

/// The accessories in the order in which they can be started; `Err` names those that wait for each other.
pub fn in_order(wanted: &[AccessorySpec]) -> Result<Vec<&AccessorySpec>, String> {
    let mut ordered: Vec<&AccessorySpec> = Vec::new();
    let mut left: Vec<&AccessorySpec> = wanted.iter().collect();
    while !left.is_empty() {
        let is_up = |name: &ServiceName| ordered.iter().any(|spec: &&AccessorySpec| spec.name == *name);
        let (ready, waiting): (Vec<_>, Vec<_>) = left.iter().partition(|spec| spec.depends_on.iter().all(is_up));
        if ready.is_empty() {
            let names: Vec<&str> = waiting.iter().map(|spec: &&AccessorySpec| spec.name.as_str()).collect();
            return Err(names.join(", "));
        }
        ordered.extend(ready);
        left = waiting;
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use cutover_core::spec::{ContainerSpec, ReadySpec};

    use super::*;

    fn named(name: &str, depends_on: &[&str]) -> AccessorySpec {
        AccessorySpec {
            name: ServiceName::new(name).unwrap(),
            project: "shop".into(),
            container: ContainerSpec::of_image("image"),
            ready: ReadySpec::default(),
            depends_on: depends_on.iter().map(|name| ServiceName::new(*name).unwrap()).collect(),
        }
    }

    #[test]
    fn what_runs_is_left_alone() {
        let found = |runs| Found { container: "db".into(), runs, settings: "other".into() };
        assert_eq!(bring_up(None), Action::Create);
        assert_eq!(bring_up(Some(&found(false))), Action::Start);
        assert_eq!(bring_up(Some(&found(true))), Action::Leave);
    }

    #[test]
    fn those_that_depend_come_later_and_circles_are_named() {
        let wanted = [named("nginx", &["app", "db"]), named("app", &["db"]), named("db", &[])];
        let names: Vec<&str> = in_order(&wanted).unwrap().iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["db", "app", "nginx"]);
        assert_eq!(in_order(&[named("a", &["b"]), named("b", &["a"])]).unwrap_err(), "a, b");
    }
}
