//! The order in which things are brought up that depend on each other.

use cutover_core::ServiceName;
use cutover_core::spec::AccessorySpec;

use super::keys;
use super::reader::Reader;
use super::service::Read;

/// Something that others may have to wait for.
pub(super) trait Depends {
    /// Its name.
    fn name(&self) -> &ServiceName;
    /// Those that it waits for.
    fn depends_on(&self) -> &[ServiceName];
}

impl Depends for AccessorySpec {
    fn name(&self) -> &ServiceName {
        &self.name
    }

    fn depends_on(&self) -> &[ServiceName] {
        &self.depends_on
    }
}

impl Depends for Read {
    fn name(&self) -> &ServiceName {
        &self.spec.name
    }

    fn depends_on(&self) -> &[ServiceName] {
        &self.depends_on
    }
}

/// Puts them in an order in which each comes after those that it waits for, otherwise as they stand in the file. `kind` is the
/// name of their tables, `beside` what else may be named and is there before. What cannot be is a mistake.
pub(super) fn in_order<T: Depends>(top: &Reader, kind: &'static str, read: Vec<T>, beside: &[&str]) -> Vec<T> {
    let known: Vec<String> = read.iter().map(|one| one.name().to_string()).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).chain(beside.iter().copied()).collect();
    for reader in &top.tables(kind) {
        for name in reader.texts("depends_on").map(|names| names.value).unwrap_or_default() {
            if !known.contains(&name.value) {
                let near = keys::nearest(name.value, known).map(|near| format!("did you mean {near:?}?"));
                let reason = format!("there is no {kind} {:?}", name.value);
                reader.wrong_value("depends_on", name.at, reason).hint_if(near);
                return read;
            }
        }
    }
    sorted(read, beside).unwrap_or_else(|circle| {
        top.mistake(top.place_of(kind), format!("{kind}: {} wait for each other (depends_on)", circle.join(", ")));
        Vec::new()
    })
}

/// `Err` names those that wait for each other, and those that wait for them.
fn sorted<T: Depends>(wanted: Vec<T>, beside: &[&str]) -> Result<Vec<T>, Vec<String>> {
    let (mut ordered, mut left): (Vec<T>, Vec<T>) = (Vec::new(), wanted);
    while !left.is_empty() {
        let is_up = |name: &ServiceName| {
            beside.contains(&name.as_str()) || ordered.iter().any(|before: &T| before.name() == name)
        };
        let (ready, waiting): (Vec<T>, Vec<T>) = left.into_iter().partition(|one| one.depends_on().iter().all(is_up));
        if ready.is_empty() {
            return Err(waiting.iter().map(|one| one.name().to_string()).collect());
        }
        ordered.extend(ready);
        left = waiting;
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(ServiceName, Vec<ServiceName>);

    impl Depends for Named {
        fn name(&self) -> &ServiceName {
            &self.0
        }

        fn depends_on(&self) -> &[ServiceName] {
            &self.1
        }
    }

    fn named(name: &str, depends_on: &[&str]) -> Named {
        let named = |text: &str| ServiceName::new(text).unwrap();
        Named(named(name), depends_on.iter().map(|text| named(text)).collect())
    }

    #[test]
    fn those_that_depend_come_later_and_circles_are_named() {
        let wanted =
            vec![named("nginx", &["app", "db"]), named("app", &["db"]), named("db", &[]), named("cron", &["redis"])];
        let ordered = sorted(wanted, &["redis"]).unwrap_or_default();
        let names: Vec<&str> = ordered.iter().map(|one| one.name().as_str()).collect();
        assert_eq!(names, ["db", "cron", "app", "nginx"]);
        let circle = sorted(vec![named("a", &["b"]), named("b", &["a"]), named("c", &[])], &[]);
        assert_eq!(circle.err(), Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}
