//! A table of a newer version, as far as a process that leaves must understand it.
//!
//! It obeys tables for an hour, perhaps, that a newer program makes. If it refused what it cannot read in full, no table could be
//! acknowledged for as long. So it takes from such a table what a drain rests on, who gets requests, and keeps everything else.

use cutover_core::table::{Table, Target};
use cutover_core::{Generation, ServiceName};
use serde::Deserialize;

#[derive(Deserialize)]
struct Outline {
    generation: Generation,
    services: Vec<Targets>,
}

#[derive(Deserialize)]
struct Targets {
    name: ServiceName,
    targets: Vec<Target>,
}

/// Reads a table; if it cannot be read in full, its targets in place of those of the present one. A service that it does not name
/// has none.
pub fn read(json: &[u8], present: &Table) -> Result<Table, serde_json::Error> {
    if let Ok(table) = serde_json::from_slice(json) {
        return Ok(table);
    }
    let mut outline: Outline = serde_json::from_slice(json)?;
    let mut table = Table { generation: outline.generation, ..present.clone() };
    for service in &mut table.services {
        let named = outline.services.iter_mut().find(|named| named.name == service.name);
        service.targets = named.map(|named| std::mem::take(&mut named.targets)).unwrap_or_default();
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: &str = r#"{"generation": 1, "listeners": [], "services": [
        {"name": "web", "balance": "round_robin", "hold": null, "limits": {}, "token": null,
            "targets": [{"instance": "web.r1.i1", "address": "127.0.0.1:1", "mode": {"serving": {"weight": 1}}}]},
        {"name": "api", "balance": "round_robin", "hold": null, "limits": {}, "token": null,
            "targets": [{"instance": "api.r1.i1", "address": "127.0.0.1:2", "mode": {"serving": {"weight": 1}}}]}]}"#;

    // Seen to fail with a table that is refused as a whole.
    #[test]
    fn who_gets_requests_is_understood_whatever_else_is_new() {
        let present: Table = serde_json::from_str(PRESENT).unwrap();
        let newer = r#"{"generation": 2, "listeners": [{"address": "127.0.0.1:80", "traffic": {"quic": {}}}], "services": [
            {"name": "web", "balance": "by_taste", "limits": {"patience": "1s"},
                "targets": [{"instance": "web.r1.i1", "address": "127.0.0.1:1", "mode": "draining", "colour": "red"}]}]}"#;
        assert!(serde_json::from_str::<Table>(newer).is_err(), "it could be read in full");
        let table = read(newer.as_bytes(), &present).unwrap();
        assert_eq!((table.generation, table.services.len()), (Generation(2), 2));
        assert_eq!(table.services[0].targets[0].mode, cutover_core::table::Mode::Draining);
        assert!(table.services[1].targets.is_empty());
        assert!(read(b"{}", &present).is_err());
    }
}
