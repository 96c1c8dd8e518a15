//! Header rules.

use cutover_core::rules::{FieldRules, Side};

use crate::config::reader::Reader;

/// Reads one table of header rules.
pub(super) fn read(reader: &Reader, side: Side) -> FieldRules {
    let removed = reader.texts("remove").map(|names| names.value).unwrap_or_default();
    let removed = removed.iter().filter(|name| {
        let fault = FieldRules::fault_of(name.value, side);
        told(reader, "remove", name.at, fault)
    });
    FieldRules {
        remove: removed.map(|name| name.value.to_owned()).collect(),
        set: pairs(reader, "set", side),
        add: pairs(reader, "add", side),
    }
}

fn pairs(reader: &Reader, key: &str, side: Side) -> Vec<(String, String)> {
    let good = |(name, value): (&str, crate::config::reader::Located<String>)| {
        let fault = FieldRules::fault_of(name, side).or_else(|| FieldRules::value_fault(name, &value.value));
        told(reader, key, value.at, fault).then(|| (name.to_owned(), value.value))
    };
    reader.values(key).into_iter().filter_map(good).collect()
}

/// Says what is wrong; whether nothing is.
fn told(reader: &Reader, key: &str, at: usize, fault: Option<String>) -> bool {
    if let Some(fault) = &fault {
        reader.wrong_value(key, at, fault).hint_if(None);
    }
    fault.is_none()
}
